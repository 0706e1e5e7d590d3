"""Guide a sampler of k-diffusion: `guided_denoiser` makes a denoiser of a denoiser."""

from __future__ import annotations

from k_diffusion.sampling import get_sigmas_karras, sample_dpmpp_2m
from leaky_model import GRID, denoise, mass, noise
from picture import STEPS, draw_picture

from physgen.constraints import MassConservation
from physgen.guidance import Projection
from physgen.sampling import guided_denoiser

guided = guided_denoiser(denoise, Projection({"mass": MassConservation()}), grid=GRID)
sigmas = get_sigmas_karras(STEPS, sigma_min=0.01, sigma_max=80.0)  # k-diffusion's sigma: x = x0 + sigma noise
videos = {
    label: sample_dpmpp_2m(model, sigmas[0] * noise(), sigmas, disable=True)
    for label, model in {"unguided": denoise, "guided": guided}.items()
}
draw_picture(videos, {name: mass(video) for name, video in videos.items()}, "frame", "mass / first frame")
