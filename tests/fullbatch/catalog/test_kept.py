from __future__ import annotations

from fullbatch.catalog.kept import Kept, plain, read
from fullbatch.catalog.layers import Attention, Layer
from fullbatch.catalog.states import State

FULL, WINDOW = Attention(8, 2, 64, 64), Attention(8, 2, 64, 64, window=512)


def test_layers_that_keep_the_same_are_one_kind() -> None:
    found = read((Layer(WINDOW), Layer(FULL), Layer(WINDOW)))
    assert found == (Kept(1, 2, 128), Kept(2, 2, 128, 512))


def test_a_layer_that_reads_anothers_keeps_nothing() -> None:
    assert read((Layer(FULL), Layer(Attention(8, 2, 64, 64, stores=False)))) == (Kept(1, 2, 128),)


def test_a_latent_has_no_heads_and_an_index_beside_it() -> None:
    (found,) = read((Layer(Attention(128, 128, 192, 128, latent=576, index_bytes=132)),))
    assert (found.heads, found.latent, found.beside) == (0, 576, 132)


def test_a_chunk_is_a_window_that_begins_anew() -> None:
    assert read((Layer(Attention(8, 2, 64, 64, window=8192, chunked=True)),)) == (Kept(1, 2, 128, 8192, chunked=True),)


def test_both_in_a_layer_are_two_kinds() -> None:
    found = read((Layer(FULL, State(1000, 10, 3, 5)),) * 4)
    assert found == (Kept(4, 2, 128), Kept(4, state=1000, draft=10, blocks=3))


def test_a_row_of_the_catalog() -> None:
    shape = {"layers": 26, "kv_heads": 4, "head_dim": 256}
    assert plain(shape) == (Kept(26, 4, 512),)
    assert plain(shape, 4096, 13) == (Kept(13, 4, 512), Kept(13, 4, 512, 4096))
    assert plain(shape, 2047, 26) == (Kept(26, 4, 512, 2047),)
