"""llama.cpp's server, unpacked privately, and the tiny test model as a GGUF: the side that a CPU can compare with."""
