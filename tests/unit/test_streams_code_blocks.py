import time
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from workers.streams.code_blocks import MAX_LANGUAGE_CHARACTERS, CodeBlock, CodeBlocks


def found(*pieces: str, limit_bytes: int = 10_000) -> list[CodeBlock]:
    """The blocks of a text that came in these pieces."""
    blocks = CodeBlocks(limit_bytes=limit_bytes)
    return [block for piece in pieces for block in blocks.feed(piece)] + blocks.finish()


def texts(text: str) -> list[tuple[str, str]]:
    return [(block.language, block.text) for block in found(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("```\n<\n >\n```\n", [("", "<\n >\n")]),
        ("~~~\n<\n >\n~~~\n", [("", "<\n >\n")]),
        ("``\nfoo\n``\n", []),
        ("```\naaa\n~~~\n```\n", [("", "aaa\n~~~\n")]),
        ("~~~\naaa\n```\n~~~\n", [("", "aaa\n```\n")]),
        ("````\naaa\n```\n``````\n", [("", "aaa\n```\n")]),
        ("~~~~\naaa\n~~~\n~~~~\n", [("", "aaa\n~~~\n")]),
        ("```\n", [("", "")]),
        ("`````\n\n```\naaa\n", [("", "\n```\naaa\n")]),
        ("```\n\n  \n```\n", [("", "\n  \n")]),
        ("```\n```\n", [("", "")]),
        (" ```\n aaa\naaa\n```\n", [("", "aaa\naaa\n")]),
        ("  ```\naaa\n  aaa\naaa\n  ```\n", [("", "aaa\naaa\naaa\n")]),
        ("   ```\n   aaa\n    aaa\n  aaa\n   ```\n", [("", "aaa\n aaa\naaa\n")]),
        ("    ```\n    aaa\n    ```\n", []),
        ("```\naaa\n  ```\n", [("", "aaa\n")]),
        ("   ```\naaa\n  ```\n", [("", "aaa\n")]),
        ("```\naaa\n    ```\n", [("", "aaa\n    ```\n")]),
        ("``` ```\naaa\n", []),
        ("~~~~~~\naaa\n~~~ ~~\n", [("", "aaa\n~~~ ~~\n")]),
        ("foo\n```\nbar\n```\nbaz\n", [("", "bar\n")]),
        ("```ruby\ndef foo(x)\n  return 3\nend\n```\n", [("ruby", "def foo(x)\n  return 3\nend\n")]),
        ("~~~~    ruby startline=3 $%@#$\nend\n~~~~~~~\n", [("ruby", "end\n")]),
        ("````;\n````\n", [(";", "")]),
        ("``` aa ```\nfoo\n", []),
        ("~~~ aa ``` ~~~\nfoo\n~~~\n", [("aa", "foo\n")]),
        ("```\n``` aaa\n```\n", [("", "``` aaa\n")]),
        ("```py\none\n```\ntext\n~~~ts\ntwo\n~~~", [("py", "one\n"), ("ts", "two\n")]),
        ("```py\r\none\r\n```\r\n", [("py", "one\r\n")]),
        ("```py\rone\r```\r", [("py", "one\r")]),
        ("```py\nunfinished", [("py", "unfinished")]),
        ("```py\nclosed without a line end\n```", [("py", "closed without a line end\n")]),
        ("no code at all", []),
        ("", []),
    ],
)
def test_blocks_are_those_that_commonmark_sees(text: str, expected: list[tuple[str, str]]) -> None:
    assert texts(text) == expected


@given(
    text=st.lists(
        st.sampled_from(["```", "~~~", "````", "`", " ", "   ", "\n", "\r\n", "\r", "py", "ж", "\U0001f600"]),
        max_size=40,
    ).map("".join),
    cuts=st.lists(st.integers(0, 120), max_size=12),
)
@example(text="```\r\na\r\n```", cuts=[4, 5, 6, 7, 8])
def test_any_cutting_of_the_text_gives_the_same_blocks(text: str, cuts: list[int]) -> None:
    places = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})

    pieces = [text[start:end] for start, end in pairwise(places)]

    assert found(*pieces) == found(text) == found(*text)


@given(st.text(alphabet="`~\n\r aж\U0001f600", max_size=80))
def test_a_block_says_where_its_content_lies_in_the_text(text: str) -> None:
    for block in found(text):
        raw = text[block.off : block.off + block.length]
        lines = raw.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        shown = block.text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        assert [line.lstrip(" ") for line in lines] == [line.lstrip(" ") for line in shown]
        assert not block.truncated


def test_a_block_is_found_as_soon_as_its_closing_line_is_whole() -> None:
    blocks = CodeBlocks()

    assert blocks.feed("```py\nprint()\n``") == []
    assert blocks.feed("`") == []
    assert [block.text for block in blocks.feed("\n")] == ["print()\n"]


@pytest.mark.parametrize("line", ["aaaaaaaa\n", "ффффффф\n", '""""""""\n'])
def test_a_block_above_the_limit_is_cut_and_says_so(line: str) -> None:
    (block,) = found("```\n" + line * 100 + "```\n", limit_bytes=200)

    assert block.truncated
    assert block.data()["truncated"] is True
    assert block.length == len(line) * 100
    assert (line * 100).startswith(block.text)
    assert 80 < len(block.text.encode()) <= 200


def test_a_block_at_the_limit_is_whole() -> None:
    (block,) = found("```\n" + "a" * 197 + "\n```\n", limit_bytes=199)

    assert not block.truncated
    assert "truncated" not in block.data()


def test_a_language_without_end_is_cut() -> None:
    (block,) = found("```" + "x" * 1_000 + "\n")

    assert len(block.language) == MAX_LANGUAGE_CHARACTERS


@pytest.mark.parametrize("piece", ["`", "~", " ", "a", "\r", "\n", "```\n", "~~~~", "a`"])
def test_hostile_text_takes_time_that_grows_with_its_length_only(piece: str) -> None:
    def took_s(times: int) -> float:
        began_s = time.process_time()
        blocks = CodeBlocks()
        for _ in range(times):
            blocks.feed(piece)
        blocks.finish()
        return time.process_time() - began_s

    small_s = max(min(took_s(5_000) for _ in range(3)), 0.002)

    assert took_s(50_000) < 40 * small_s
