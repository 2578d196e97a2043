from pytest_tflm.simulator.engine.base import Engine

class Board:
    """A board: the firmware core between a receive ring, a transmit queue and an engine.

    Nothing happens but in its methods, and none of them waits. One thread at a time.

    ``largest_frame``, ``window``, ``reply_store`` and ``log_store`` are bytes (SPEC §3);
    ``ValueError`` if they contradict SPEC.md. ``baud`` is the opening rate of a line that has one
    (SPEC §9), in bits per second, ``largest_baud`` the highest that its port can carry.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        boot_id: int,
        board: str,
        reset_reason: str,
        largest_frame: int,
        window: int,
        reply_store: int,
        log_store: int = 4096,
        baud: int = 0,
        largest_baud: int = 0,
    ) -> None: ...
    def receive(self, data: bytes) -> int:
        """Put bytes from the host into the receive ring of ``window`` + 64 bytes.

        Returns how many fitted. The rest is lost, as on a UART.
        """

    def poll(self) -> bool:
        """Look at what was received, until one request was performed or nothing is left.

        True: call again at once, there may be more to do. What the engine raises, other than
        :class:`~pytest_tflm.simulator.engine.base.Refusal`, is raised here; the host is then
        told that the request failed, and the board can go on.
        """

    def transmit(self, limit: int) -> bytes:
        """The next bytes for the host, at most ``limit``. What is not taken stays queued.

        They leave at the rate that ``baud`` was before the call.
        """

    def log(self, text: str) -> bool:
        """Send one piece of log text, cut to what a frame holds. False: no room, it is lost."""

    def pass_time(self, microseconds: int) -> None:
        """So much time has passed outside of Invoke. The core counts it while noise comes."""

    @property
    def baud(self) -> int:
        """The line's rate now, bits per second; 0: it has none."""
