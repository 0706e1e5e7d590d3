"""`physgen finetune`: a LoRA of the embedded world on movies or a simulator."""
