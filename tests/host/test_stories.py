"""Host applications from beginning to end: what they print, and why each attack is refused."""

from __future__ import annotations

import re
import sys
from importlib import import_module

import pytest

PROGRAMS = {
    "airdrop": (
        r"200 tokens to \w{8}, for one of 10 accounts",
        {
            "the same account claims for another wallet": "this account has claimed already",
            "somebody puts his wallet into a receipt": "CLAIM: ",
            "a better history than the snapshot's": "no account of the snapshot has this history",
            "a receipt of another airdrop": "the receipt is for another airdrop",
            "a history that earns nothing": "POLICY: the guest exited with 1",
        },
    ),
    "backtest": (
        r"the registered rule earned [+-]\d+\.\d\d % in \d+ trades",
        {
            "a rule that was fitted to the year afterwards": "this is not the rule that was registered",
            "prices that never were": "the report is about other prices",
            "a report about another year": "the report is about other prices",
            "a better result, written into the journal": "CLAIM: ",
        },
    ),
    "biometric": (
        "alice is admitted by",
        {
            "the receipt of yesterday": "the receipt was made for another attempt",
            "the stranger's own template": "this is not the enrolled template",
            "a copy of the template as probe": "the sensor took no such picture for this attempt",
        },
    ),
    "contest": (
        "alice: 63 of 64 right",
        {
            "a model that was fitted to the test set": "MODEL: the run's private weights have the digest",
            "labels that suit the model": "these are not the test rows",
            "bob sends alice's receipt": "MODEL: the run's private weights have the digest",
            "somebody who did not commit": "no weights were committed in time",
        },
    ),
    "credit": (
        "alice has grade A",
        {
            "bob invents an income": "these are not the finances that the bank attested",
            "bob uses a scorecard of his own": "IMAGE_ID: ",
            "bob edits the grade in his receipt": "CLAIM: ",
            "bob sends alice's receipt": "the receipt was made for another application",
            "alice's receipt is sent once more": "the receipt was made for another application",
        },
    ),
    "draughts": (
        r"you play 11-15, the bot plays \d+[-x]\d+",
        {
            "the receipt of an earlier move": "the move was made in another position",
            "a move for another position": "the move was made in another position",
            "a move of another game": "the move was made in another game",
            "a network that was not registered": "this is not the network that was registered",
        },
    ),
    "feed": (
        r"the feed \[\d+(, \d+){9}\] follows the announced ranking",
        {
            "a promoted post on the screen": "the screen showed [59, ",
            "a feed for what somebody else likes": "this is not the reader's profile",
            "a post that was taken out of the pool": "other posts were ranked",
            "the receipt of an earlier session": "the receipt is of another session",
        },
    ),
    "fraud": (
        r"monday: \d+ alarms in 64 transactions",
        {
            "frauds replaced by a harmless payment": "these are not the transactions of the day",
            "monday's report once more": "these are not the transactions of the day",
            "a model that sees less": "IMAGE_ID: ",
        },
    ),
    "one_model": (
        "alice is told benign, bob malignant",
        {
            "bob is answered by a model that was trained less": "MODEL: the run's private weights have the digest",
            "bob gets the answer to alice's question": "the answer is about another sample, or was made before",
            "bob is answered for a slightly other sample": "the answer is about another sample, or was made before",
            "alice asks again, and gets the old answer": "the answer is about another sample, or was made before",
        },
    ),
    "oracle": (
        r"round 7: volatility 0\.\d+ %",
        {
            "the answer of the round before": "the answer is not about this round's data",
            "data that never were": "the answer is not about this round's data",
            "a network with halved weights": "IMAGE_ID: ",
            "a number that suits the poster": "CLAIM: ",
            "a second answer to round 7": "the round has its answer",
        },
    ),
    "picture": (
        "the artist has shown that it is his",
        {
            "a picture that was painted over": "this is not the picture that the generator made",
            "a picture of another generator": "MODEL: the run's private weights have the digest",
            "the same picture once more": "the picture hangs already",
            "the same picture with another salt": "the picture hangs already",
            "somebody else claims it": "this is not what the picture was made of",
        },
    ),
    "weightless": (
        r"the picture shows a 0 \(0\)",
        {
            "the same picture once more": "the camera took no such picture, or it was counted before",
            "a picture from elsewhere": "the camera took no such picture, or it was counted before",
            "a network with other filters": "IMAGE_ID: ",
            "another label in the journal": "CLAIM: ",
        },
    ),
}
"""What the honest part says, and the reason of each refusal."""


def tell(name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Run a program, and compare."""
    honest, refusals = PROGRAMS[name]
    monkeypatch.setattr(sys, "argv", [f"host/{name}.py"])
    import_module(f"host.{name}").main()
    printed = capsys.readouterr().out
    assert re.search(honest, printed), printed
    refused = dict(line.removeprefix("refused, ").split(": ", 1) for line in printed.splitlines() if line.startswith("refused, "))
    assert refused.keys() == refusals.keys()
    for attack, reason in refusals.items():
        assert refused[attack].startswith(reason), attack


@pytest.mark.usefixtures("unproven")
@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] * (name == "contest")) for name in sorted(PROGRAMS)])
def test_what_a_program_tells(name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    tell(name, monkeypatch, capsys)


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] * (name != "biometric")) for name in sorted(PROGRAMS)])
def test_what_it_tells_with_its_proofs(name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    tell(name, monkeypatch, capsys)
