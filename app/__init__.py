"""The page. This file must exist: beside app.py it is what makes `import app` mean this folder."""
