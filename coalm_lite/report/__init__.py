"""What two or more runs say about a quantized model, as HTML, Markdown and JSON."""
