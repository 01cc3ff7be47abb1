import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# The tests run in two processes, whose small arrays gain nothing from more threads.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
