"""Simulated boards in processes of their own, and a raw client on each."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import serial

from pytest_tflm.simulator.board.launch import Simulator, start
from simulator.raw_client import RawClient


@pytest.fixture
def simulate() -> Iterator[Callable[..., Simulator]]:
    """Starts simulators, and ends them after the test."""
    running: list[Simulator] = []

    def begin(spec: str = "sim") -> Simulator:
        running.append(start(spec))
        return running[-1]

    yield begin
    for simulator in running:
        simulator.close()


@pytest.fixture
def connect() -> Iterator[Callable[..., RawClient]]:
    """Opens ports with pyserial; a client that has said HELLO on each."""
    ports: list[serial.SerialBase] = []

    def begin(port: str, session: int = 0x5E55) -> RawClient:
        ports.append(serial.serial_for_url(port, timeout=60))
        client = RawClient.on_port(ports[-1], session)
        client.hello()
        return client

    yield begin
    for port in ports:
        port.close()


@pytest.fixture
def client(
    simulate: Callable[..., Simulator], connect: Callable[..., RawClient]
) -> Callable[..., RawClient]:
    """A client of a new simulator."""
    return lambda spec="sim": connect(simulate(spec).port)
