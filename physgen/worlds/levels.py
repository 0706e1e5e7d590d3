"""Levels of life that prompts name: organ, cellular, subcellular."""

from __future__ import annotations

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
