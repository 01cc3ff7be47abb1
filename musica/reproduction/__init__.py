"""The paper's experiments from the archives to one page: the command ``musica.reproduce``."""
