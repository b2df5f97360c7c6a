"""YAML laid out as BenchMARL's ``conf``; a package so that Hydra finds it."""
