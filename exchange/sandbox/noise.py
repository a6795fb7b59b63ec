"""Noise for `private`, drawn by OpenDP from the operating system's random source. Only the vault imports it."""

from collections.abc import Sequence

import opendp.prelude as dp

from exchange.sandbox.frames import INT64

dp.enable_features("contrib")

_SPACE = dp.vector_domain(dp.atom_domain(T="i64")), dp.l2_distance(T="f64")


def discrete_gaussian(values: Sequence[int], sigma: float) -> list[int]:
    """`values` (64-bit integers), each with its own draw of the discrete Gaussian of scale `sigma` added.

    OpenDP samples it exactly (Canonne, Kamath and Steinke 2020), so no bit of a float tells anything; what
    would leave 64 bits stays at their end.
    """
    drawn: list[int] = dp.m.make_gaussian(*_SPACE, scale=sigma, MO="ZeroConcentratedDivergence")(list(values))
    return [min(max(value, -INT64), INT64) for value in drawn]
