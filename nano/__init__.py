"""The recipe of coalm-nano, the embedded model: data, tokenizer, training, export, measurement. See README.md here."""
