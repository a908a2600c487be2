# SPDX-License-Identifier: Apache-2.0
"""Whether KVM really runs guests, found out by running a very small one."""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
import platform
import signal
import struct
import time
from typing import Callable

# Numbers and structures of the kernel's KVM interface on x86-64.
CREATE_VM, GET_RUN_SIZE, CREATE_VCPU, RUN = 0xAE01, 0xAE04, 0xAE41, 0xAE80
SET_TSS_ADDRESS, SET_MEMORY = 0xAE47, 0x4020AE46
SET_REGISTERS, GET_SPECIAL, SET_SPECIAL = 0x4090AE82, 0x8138AE83, 0x4138AE84
EXIT_IO = 2

CODE, TABLES, MEMORY = 0x1000, 0x2000, 0x10000
ROUNDS = 50_000

# The seconds that the rounds may take. A processor needs a thousandth of that; a KVM that is there but interprets what
# kernels do, instruction by instruction, needs many times that, and the kernel of a guest seems to hang.
SLOW = 0.01
TIMEOUT = 10


def program() -> bytes:
    """Return the guest's code: count ROUNDS down, then write to a port."""
    count = b"\xb9" + struct.pack("<I", ROUNDS) + b"\xff\xc9\x75\xfc"
    return count + b"\xba\xf4\x00\x00\x00\xb0\x2a\xee\xf4"


def special_registers(before: bytes) -> bytes:
    """Return the registers of a processor in 64-bit mode with paging, as a kernel has them."""
    special = bytearray(before)
    for number in range(6):
        kind, selector, small, long = (11, 8, 0, 1) if number == 0 else (3, 16, 1, 0)
        segment = struct.pack("<QIHBBBBBBBBBB", 0, 0xFFFFFFFF, selector, kind, 1, 0, small, 1, long, 1, 0, 0, 0)
        special[number * 24 : number * 24 + 24] = segment
    # cr0: protection and paging; cr3: the tables; cr4: physical address extension; efer: long mode.
    for offset, value in ((224, 0x80000011), (240, TABLES), (248, 0x20), (264, 0x500)):
        special[offset : offset + 8] = struct.pack("<Q", value)
    return bytes(special)


def run_guest() -> tuple[int, float]:
    """Run the guest in this process; return why it stopped and the processor's time that it took."""
    kvm = os.open("/dev/kvm", os.O_RDWR | os.O_CLOEXEC)
    machine = fcntl.ioctl(kvm, CREATE_VM, 0)
    if platform.machine() != "x86_64":
        return EXIT_IO, 0.0
    fcntl.ioctl(machine, SET_TSS_ADDRESS, 0x20000)
    memory = mmap.mmap(-1, MEMORY)
    memory[CODE : CODE + len(program())] = program()
    for number, entry in enumerate((TABLES + 0x1003, TABLES + 0x2003, 0x83)):
        start = TABLES + 0x1000 * number
        memory[start : start + 8] = struct.pack("<Q", entry)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    fcntl.ioctl(machine, SET_MEMORY, struct.pack("<IIQQQ", 0, 0, 0, MEMORY, address))
    processor = fcntl.ioctl(machine, CREATE_VCPU, 0)
    state = mmap.mmap(processor, fcntl.ioctl(kvm, GET_RUN_SIZE, 0))
    special = bytearray(312)
    fcntl.ioctl(processor, GET_SPECIAL, special)
    fcntl.ioctl(processor, SET_SPECIAL, special_registers(bytes(special)))
    fcntl.ioctl(processor, SET_REGISTERS, struct.pack("<18Q", *[0] * 16, CODE, 2))
    # A clock would go on while a busy host runs others.
    before = time.process_time()
    fcntl.ioctl(processor, RUN, 0)
    return int(struct.unpack_from("<I", state, 8)[0]), time.process_time() - before


def verdict(guest: Callable[[], tuple[int, float]]) -> str:
    """Run a guest and return what is wrong with KVM, or an empty text."""
    try:
        reason, seconds = guest()
    except FileNotFoundError:
        return "there is no /dev/kvm"
    except OSError as error:
        return f"/dev/kvm refuses: {error.strerror}"
    if reason != EXIT_IO:
        return f"a guest ended for the wrong reason ({reason})"
    return "it interprets what a guest's kernel does instead of running it" if seconds > SLOW else ""


def fault(guest: Callable[[], tuple[int, float]] = run_guest, timeout: float = TIMEOUT) -> str:
    """Return what is wrong with KVM, or an empty text. The guest runs in a process of its own that may hang."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writer, (verdict(guest) or "-").encode())
        finally:
            os._exit(0)
    os.close(writer)
    limit = time.monotonic() + timeout
    while os.waitpid(child, os.WNOHANG)[0] == 0:
        if time.monotonic() > limit:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            os.close(reader)
            return f"a guest of a few instructions did not end within {timeout} s"
        time.sleep(0.005)
    found = os.read(reader, 4096).decode()
    os.close(reader)
    return found.removeprefix("-") if found else "a guest's process ended without a word"
