import pytest
import sacrebleu

from nlp_rnn.metrics import bleu_tokenizer, compare_systems, translation_scores

REFERENCES = [
    "A man in an orange hat starring at something.",
    "A Boston Terrier is running on lush green grass in front of a white fence.",
    "A girl in karate uniform breaking a stick with a front kick.",
    "Five people wearing winter jackets and helmets stand in the snow.",
]
HYPOTHESES = [
    "A man in an orange hat is looking at something.",
    "a boston terrier runs on green grass in front of a white fence.",
    "A girl in a karate uniform breaks a stick with a kick.",
    "Five people in winter jackets stand in the snow with snowmobiles.",
]
CHINESE = ["一个戴着橙色帽子的男人", "他正在看着什么东西"]


def test_scores_equal_sacrebleu():
    scores = translation_scores(HYPOTHESES, REFERENCES, language="en")
    given = {score.name: score.value for score in scores}
    expected = {
        "bleu": sacrebleu.corpus_bleu(HYPOTHESES, [REFERENCES]).score,
        "bleu_lc": sacrebleu.corpus_bleu(HYPOTHESES, [REFERENCES], lowercase=True).score,
        "chrf": sacrebleu.corpus_chrf(HYPOTHESES, [REFERENCES]).score,
        "ter": sacrebleu.corpus_ter(HYPOTHESES, [REFERENCES]).score,
    }
    assert given == expected
    assert given["bleu"] < given["bleu_lc"]


def test_signatures_tell_how():
    cased, lower, chrf, ter = translation_scores(HYPOTHESES, REFERENCES, language="de")
    assert "case:mixed" in cased.signature
    assert "case:lc" in lower.signature
    assert "tok:13a" in cased.signature
    assert "nc:6" in chrf.signature
    assert "tok:tercom" in ter.signature
    assert all(f"version:{sacrebleu.__version__}" in s.signature for s in (cased, chrf, ter))


def test_a_sentence_without_spaces_is_more_than_one_edit():
    wrong = [CHINESE[0][:-1] + "女", CHINESE[1]]
    ter = translation_scores(wrong, CHINESE, language="zh")[3]
    assert 0 < ter.value < 20
    assert "asian:yes" in ter.signature


@pytest.mark.parametrize(
    ("language", "tokenizer"),
    [
        ("en", "13a"),
        ("de_AT", "13a"),
        ("zh", "zh"),
        ("zh-Hans", "zh"),
        ("ZH_tw", "zh"),
        ("ja", "ja-mecab"),
        ("ja_JP", "ja-mecab"),
        ("ko", "ko-mecab"),
        ("zho_Hans", "zh"),
        ("cmn", "zh"),
        ("jpn_Jpan", "ja-mecab"),
        ("kor_Hang", "ko-mecab"),
        ("th", "char"),
        ("my_MM", "char"),
        ("target", "13a"),
    ],
)
def test_the_language_chooses_the_tokenizer(language, tokenizer):
    assert bleu_tokenizer(language) == tokenizer


def test_chinese_is_scored_by_character():
    scores = translation_scores([CHINESE[0], "他看着什么东西"], CHINESE, language="zh")
    expected = sacrebleu.corpus_bleu([CHINESE[0], "他看着什么东西"], [CHINESE], tokenize="zh")
    assert scores[0].value == expected.score > 50


@pytest.mark.parametrize("language", ["ja", "ko"])
def test_mecab_comes_with_the_package(language):
    text = {"ja": "帽子をかぶった男性がいる。", "ko": "모자를 쓴 남자가 있다."}[language]
    score = translation_scores([text], [text], language=language)[0]
    assert score.value == pytest.approx(100)
    assert f"tok:{language}-mecab" in score.signature


def test_a_comparison_agrees_with_the_single_scores():
    worse = [text.replace("a ", "the ") for text in HYPOTHESES]
    compared = compare_systems(HYPOTHESES * 5, worse * 5, REFERENCES * 5, language="en")
    singles = zip(
        translation_scores(HYPOTHESES * 5, REFERENCES * 5, language="en"),
        translation_scores(worse * 5, REFERENCES * 5, language="en"),
    )
    assert len(compared) == 4
    for each, (baseline, system) in zip(compared, singles):
        assert (each.title, each.baseline) == (baseline.title, pytest.approx(baseline.value))
        assert each.system == pytest.approx(system.value)
        assert "bs:1000" in each.signature
    assert compared[0].system < compared[0].baseline
    assert compared[0].p_value < 0.05


def test_a_system_does_not_differ_from_itself():
    for each in compare_systems(HYPOTHESES, HYPOTHESES, REFERENCES, language="en"):
        assert each.baseline == each.system
        assert each.p_value > 0.9


def test_one_line_is_no_evidence():
    for each in compare_systems(HYPOTHESES[:1], ["A man."], REFERENCES[:1], language="en"):
        assert each.baseline != each.system
        assert each.p_value > 0.9
