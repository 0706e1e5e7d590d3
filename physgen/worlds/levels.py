"""Levels of life that prompts name: organ, cellular, subcellular."""

from __future__ import annotations

import re

#: words of the prompt that speak for a level; the first level is the one of prompts that speak for none
LEVEL_WORDS: dict[str, tuple[str, ...]] = {
    "cellular": (
        *("cell", "cells", "cellular", "bacteria", "bacterium", "bacterial", "neuron", "neurons", "erythrocyte"),
        *("erythrocytes", "lymphocyte", "lymphocytes", "macrophage", "macrophages", "neutrophil", "neutrophils"),
        *("platelet", "platelets", "sperm", "embryo", "mitosis", "mitotic", "division", "divides", "tumor", "colony"),
        *("fibroblast", "fibroblasts", "phagocytosis", "microbe", "microbes", "immune"),
    ),
    "organ": (
        *("organ", "organs", "heart", "cardiac", "lung", "lungs", "alveoli", "liver", "kidney", "kidneys", "brain"),
        *("stomach", "intestine", "intestinal", "muscle", "bone", "bones", "joint", "skin", "eye", "retina", "tissue"),
        *("tissues", "artery", "arteries", "vein", "veins", "vessel", "vessels", "tooth", "teeth", "spine", "uterus"),
        *("pancreas", "bladder", "colon", "valve", "airway", "airways", "cartilage", "tendon", "ligament"),
    ),
    "subcellular": (
        *("subcellular", "molecule", "molecules", "molecular", "protein", "proteins", "dna", "rna", "mrna", "atp"),
        *("mitochondria", "mitochondrion", "mitochondrial", "ribosome", "ribosomes", "enzyme", "enzymes", "receptor"),
        *("receptors", "chromosome", "chromosomes", "chromatin", "ion", "ions", "calcium", "microtubule", "actin"),
        *("microtubules", "kinesin", "organelle", "organelles", "golgi", "gene", "genes", "crispr", "polymerase"),
        *("vesicle", "vesicles", "cytoskeleton", "nucleotide", "nucleotides", "antibody", "antibodies"),
    ),
}


def words_of(prompt: str) -> set[str]:
    """Lower-case words of a prompt.

    >>> sorted(words_of("Gray-Scott SPOTS!"))
    ['gray', 'scott', 'spots']
    """
    return set(re.findall(r"[^\W_]+", prompt.lower()))


def level_of(prompt: str) -> str:
    """The level that most words of a prompt speak for; the first one when none speaks for any.

    >>> level_of("Calcium ions enter through a receptor"), level_of("a beating heart")
    ('subcellular', 'organ')
    """
    words = words_of(prompt)
    return max(LEVEL_WORDS, key=lambda level: len(words.intersection(LEVEL_WORDS[level])))
