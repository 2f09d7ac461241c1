"""The HTML report's templates, style and script; `report/html.py` loads them."""
