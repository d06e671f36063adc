import io
import queue
import threading

import pytest

from nlp_rnn.data.lines import arriving, one_line, read_lines
from nlp_rnn.errors import InputError


def lines(content):
    return [*read_lines(io.BytesIO(content), "a.txt")]


def test_only_line_feeds_end_a_line():
    text = "one\r\ntwo\n\nfour\rstill four\u2028\x0b\x85four\nfive"
    assert lines(text.encode()) == ["one", "two", "", "four\rstill four\u2028\x0b\x85four", "five"]
    assert lines(b"") == []
    assert lines(b"\n") == [""]


def test_a_byte_order_mark_is_no_text():
    assert lines(b"\xef\xbb\xbfone\ntwo\n") == ["one", "two"]
    with pytest.raises(InputError, match=r"^a\.txt, line 1: byte 0xe9 at 7 is not UTF-8"):
        list(read_lines(io.BytesIO(b"\xef\xbb\xbfcaf\xe9\n"), "a.txt"))


@pytest.mark.parametrize("bad", [b"\xff", b"caf\xe9", b"\xed\xa0\x80", b"\xc3"])
def test_what_is_not_utf8_is_named_after_the_lines_before(bad):
    reading = read_lines(io.BytesIO("früh\n".encode() + bad + b"\n"), "a.txt")
    assert next(reading) == "früh"
    with pytest.raises(InputError, match=r"^a\.txt, line 2: byte 0x[0-9a-f]{2} at \d is not UTF-8"):
        next(reading)


def test_a_text_of_several_lines_is_written_on_one():
    assert one_line("a\nb\tc\r\nd") == "a b c  d"


def test_batches_keep_the_order_and_grow():
    texts = [str(number) for number in range(100)]
    batches = [*arriving(texts, first=4, most=16, patience=None)]
    assert [len(batch) for batch in batches] == [4, 8, 16, 16, 16, 16, 16, 8]
    assert sum(batches, []) == texts
    assert [*arriving([], first=4, most=16, patience=None)] == []


def test_a_pause_ends_a_batch():
    feed = queue.Queue()
    batches = arriving(iter(feed.get, "end"), first=8, most=8, patience=0.01)
    seen = []
    for number in range(3):  # nothing more comes before the batch is out
        feed.put(str(number))
        seen.append(next(batches))
    assert seen == [["0"], ["1"], ["2"]]
    feed.put("end")
    assert [*batches] == []


def test_without_a_limit_to_patience_batches_are_full():
    gate = threading.Event()

    def slow():
        yield "a"
        gate.wait(10)
        yield "b"

    threading.Timer(0.2, gate.set).start()
    assert [*arriving(slow(), first=2, most=2, patience=None)] == [["a", "b"]]


def test_an_error_comes_after_the_lines_before_it():
    def broken():
        yield from "abc"
        raise InputError("line 4 is bad")

    batches = arriving(broken(), first=2, most=2, patience=None)
    assert [next(batches), next(batches)] == [["a", "b"], ["c"]]
    with pytest.raises(InputError, match="line 4"):
        next(batches)
