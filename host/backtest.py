"""Backtest: a fund proves what the secret trading rule that it registered would have earned on public prices.

The program is the simulator: it looks at no price before its day, takes fees, and has one free choice, the parameters of the rule. Their
salted digest is registered with a date; whoever verifies has this digest, the prices, and nothing of the rule.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

import zkvm
from zkvm import guest

PARAMETERS = ("days of the fast mean", "days of the slow mean", "entry, 1/10000", "stop below the highest price, 1/10000")
LONGEST = 100
"""Days of a mean, at most."""
MOST_DAYS, MOST_PRICE = 4000, 10**6
UNIT, SHIFT = 10_000, 24
FEE_LEFT = np.int64((UNIT - 10) * 2**SHIFT // UNIT)
"""What a trade leaves, in 2^-24: a fee of 10/10000."""
START, MOST = np.int64(1 << SHIFT), np.int64(1 << 31)
"""What is invested at first, and more than 64 bits have room for in what follows."""
LEAP = 32
"""Times yesterday's price, at most."""
DIGEST = 32
RESULT = np.dtype([("prices", np.uint8, DIGEST), ("rule", np.uint8, DIGEST), *((name, "<i4") for name in ("earned", "drawdown", "trades"))])


def digest_of(salt: NDArray[np.uint8], rule: NDArray[np.int32]) -> Any:
    """What is registered of a rule; it has few parameters, and without the salt they could be tried."""
    return guest.blake3(np.concatenate((salt, guest.blake3(rule))))


def chosen(flag: bool, one: np.int64, other: np.int64) -> Any:
    """One number or the other, computed without a branch."""
    return other + np.int64(flag) * (one - other)


def simulate(prices: NDArray[np.int32], rule: NDArray[np.int32]) -> Any:
    """In the market while the fast mean leads the slow one and the stop is not hit; decided by the prices before each day.

    The number of instructions of each kind is to tell nothing of the rule: what it decides are choices between numbers, and only what is
    public is divided, because a division takes as long as its operands make it.

    Returns:
        Final wealth, the largest drawdown and the highest wealth before it, number of trades.
    """
    fast, slow, entry, stop = int(rule[0]), int(rule[1]), np.int64(rule[2]), np.int64(rule[3])
    sums = np.concatenate((np.zeros(1, np.int64), np.cumsum(prices.astype(np.int64))))
    wealth, peak, invested, top, trades = START, START, False, np.int64(0), np.int64(0)
    fall, height = np.int64(0), START
    for day in range(LONGEST, len(prices)):
        yesterday, today = np.int64(prices[day - 1]), np.int64(prices[day])
        assert today <= yesterday * LEAP, "a price leaps"
        growth = (today << SHIFT) // yesterday
        slowly = (sums[day] - sums[day - slow]) * fast
        leads = ((sums[day] - sums[day - fast]) * slow - slowly) * UNIT > entry * slowly
        top = max(chosen(invested, top, yesterday), yesterday)
        wanted = leads & (yesterday * UNIT >= top * (UNIT - stop))
        trades += np.int64(wanted != invested)
        wealth = chosen(wanted != invested, wealth * FEE_LEFT >> SHIFT, wealth)
        wealth = chosen(wanted, wealth * growth >> SHIFT, wealth)
        assert wealth < MOST, "no rule earns so much"
        invested, peak = wanted, max(peak, wealth)
        deeper = (peak - wealth) * height > fall * peak
        fall, height = chosen(deeper, peak - wealth, fall), chosen(deeper, peak, height)
    return wealth, fall, height, trades


@guest.program
def backtest() -> None:
    """What is proven. Private: salt and rule. Public: digests of prices and rule, and the result."""
    days = int(guest.read(np.uint32))
    assert LONGEST < days <= MOST_DAYS, "too few or too many days"
    prices = guest.read(np.int32, days)
    salt, rule = guest.read(np.uint8, DIGEST), guest.read(np.int32, len(PARAMETERS))
    assert np.all((prices > 0) & (prices <= MOST_PRICE)), "a price is out of range"
    assert np.all((rule[:2] > 0) & (rule[:2] <= LONGEST)), "a mean is out of range"
    assert np.all((rule[2:] >= 0) & (rule[2:] < UNIT)), "entry or stop is out of range"
    wealth, fall, height, trades = simulate(prices, rule)
    guest.commit((guest.blake3(prices), digest_of(salt, rule)))
    guest.commit((np.int32((wealth - START) * 1_000_000 >> SHIFT), np.int32(fall * 1_000_000 // height), np.int32(trades)))


@dataclass(frozen=True)
class Rule:
    """The fund's secret."""

    parameters: tuple[int, ...]
    salt: bytes = field(default_factory=lambda: secrets.token_bytes(DIGEST))

    @property
    def digest(self) -> bytes:
        """What the fund registers before the days that it will be judged by."""
        return bytes(digest_of(np.frombuffer(self.salt, np.uint8), np.array(self.parameters, np.int32)).tobytes())


def report(rule: Rule, prices: NDArray[np.int32]) -> bytes:
    """The fund's side: what investors get."""
    stdin = zkvm.ExecutorEnv(np.uint32(len(prices)).tobytes() + prices.tobytes() + rule.salt).write(np.array(rule.parameters, np.int32))
    return zkvm.prove(backtest, stdin, pad_to="program").receipt.to_bytes()


class Refused(Exception):
    """The report is not about this fund, or not about these prices."""


@dataclass(frozen=True)
class Investor:
    """Has the image ID of the simulator, the exchange's prices, and the digest that the fund registered."""

    image_id: str
    registered: bytes

    def result(self, sent: bytes, prices: NDArray[np.int32]) -> tuple[float, float, int]:
        """What the registered rule earned on these prices: gain and largest drawdown in per cent, and trades.

        Raises:
            zkvm.VerificationError: no valid receipt of the simulator.
            Refused: of other prices, or another rule.
        """
        receipt = zkvm.Receipt.from_bytes(sent)
        receipt.verify(self.image_id)
        said = np.frombuffer(receipt.journal, RESULT)[0]
        if said["prices"].tobytes() != guest.blake3(prices).tobytes():
            raise Refused("the report is about other prices")
        if said["rule"].tobytes() != self.registered:
            raise Refused("this is not the rule that was registered")
        return said["earned"] / 10_000, said["drawdown"] / 10_000, int(said["trades"])


def some_prices(days: int, seed: int) -> NDArray[np.int32]:
    """Prices for the demonstration: a random walk in cents, with slow changes of trend."""
    rng = np.random.default_rng(seed)
    trend = np.repeat(rng.normal(0.0003, 0.0015, days // 40 + 1), 40)[:days]
    prices: NDArray[np.int32] = (10_000 * np.exp(np.cumsum(trend + rng.normal(0, 0.01, days)))).astype(np.int32)
    return prices


def main() -> None:
    """A year's report, and what is refused."""
    rule = Rule((10, 50, 50, 800))
    investor = Investor(zkvm.compute_image_id(backtest), rule.digest)  # registered before the year began
    year = some_prices(LONGEST + 252, seed=7)

    sent = report(rule, year)
    earned, drawdown, trades = investor.result(sent, year)
    held = (year[-1] / year[LONGEST] - 1) * 100
    print(f"the registered rule earned {earned:+.2f} % in {trades} trades, drawdown {drawdown:.2f} %; buying and holding {held:+.2f} %")

    mended = year.copy()
    mended[200:] = mended[200:] * 1.2
    receipt = zkvm.Receipt.from_bytes(sent)
    attacks = {
        "a rule that was fitted to the year afterwards": report(Rule((2, 7, 0, 9999)), year),
        "prices that never were": report(rule, mended),
        "a report about another year": report(rule, some_prices(LONGEST + 252, seed=4)),
        "a better result, written into the journal": replace(receipt, journal=receipt.journal[:-12] + bytes(12)).to_bytes(),
    }
    for name, given in attacks.items():
        try:
            investor.result(given, year)
        except (Refused, zkvm.VerificationError) as error:
            print(f"refused, {name}: {error}")
        else:
            raise SystemExit(f"accepted: {name}")


if __name__ == "__main__":
    main()
