# SPDX-License-Identifier: Apache-2.0
"""Whether KVM runs guests, found out by running one of a few instructions. `python3 kvm.py USER` prints what is wrong.

Only the standard library: the command on the host runs this file as well, without Ansible.
"""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
import platform
import pwd
import resource
import select
import signal
import struct
import sys

# Requests and structures of <linux/kvm.h> on x86-64.
CREATE_VM, GET_VCPU_MMAP_SIZE, CREATE_VCPU, RUN = 0xAE01, 0xAE04, 0xAE41, 0xAE80
SET_TSS_ADDR, SET_USER_MEMORY_REGION, GET_STATS_FD = 0xAE47, 0x4020AE46, 0xAECE
SET_REGS, GET_SREGS, SET_SREGS = 0x4090AE82, 0x8138AE83, 0x4138AE84
EXIT_IO = 2

MEMORY, TSS_ADDRESS = 0x1000, 0x20000
ROUNDS = 1000
# mov cx, ROUNDS; dec cx and jnz until it is 0; out 0xf4, al.
PROGRAM = b"\xb9" + struct.pack("<H", ROUNDS) + b"\x49\x75\xfd" + b"\xe6\xf4"

# Only a guest that hangs needs limits, in seconds: of its own processor time, and of the clock.
CPU_SECONDS, WALL_SECONDS = 10, 120


def run_guest() -> tuple[int, int]:
    """Run the guest; return why it stopped, and how many of its instructions KVM interpreted.

    On machines other than x86-64 it is enough that KVM makes a virtual machine.
    """
    kvm = os.open("/dev/kvm", os.O_RDWR | os.O_CLOEXEC)
    machine = fcntl.ioctl(kvm, CREATE_VM, 0)
    if platform.machine() != "x86_64":
        return EXIT_IO, 0
    fcntl.ioctl(machine, SET_TSS_ADDR, TSS_ADDRESS)
    memory = mmap.mmap(-1, MEMORY)
    memory[: len(PROGRAM)] = PROGRAM
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    fcntl.ioctl(machine, SET_USER_MEMORY_REGION, struct.pack("<IIQQQ", 0, 0, 0, MEMORY, address))
    processor = fcntl.ioctl(machine, CREATE_VCPU, 0)
    state = mmap.mmap(processor, fcntl.ioctl(kvm, GET_VCPU_MMAP_SIZE, 0))
    special = bytearray(312)
    fcntl.ioctl(processor, GET_SREGS, special)
    # 16-bit protected mode: CS begins at 0, CR0 has PE and ET. Older processors need KVM's help in real mode, and long
    # mode needs CPUID, without which Linux 6.12 refuses it, and page tables.
    special[:8], special[224:232] = bytes(8), struct.pack("<Q", 0x11)
    fcntl.ioctl(processor, SET_SREGS, special)
    fcntl.ioctl(processor, SET_REGS, struct.pack("<18Q", *[0] * 17, 2))
    fcntl.ioctl(processor, RUN, 0)
    return int(struct.unpack_from("<I", state, 8)[0]), interpreted(processor)


def interpreted(processor: int) -> int:
    """Return KVM's statistic `insn_emulation` of a virtual processor; 0 before Linux 5.14, which has none."""
    try:
        statistics = os.pread(fcntl.ioctl(processor, GET_STATS_FD, 0), 1 << 16, 0)
    except OSError:
        return 0
    name = statistics.find(b"insn_emulation\0")
    if name < 0:
        return 0
    (data,), (offset,) = struct.unpack_from("<I", statistics, 20), struct.unpack_from("<I", statistics, name - 8)
    return int(struct.unpack_from("<Q", statistics, data + offset)[0])


def verdict() -> str:
    """Run the guest in this process; return what is wrong with KVM, or an empty text."""
    try:
        reason, count = run_guest()
    except FileNotFoundError:
        return "there is no /dev/kvm"
    except OSError as error:
        user = pwd.getpwuid(os.geteuid()).pw_name
        what = f"{user} can't open /dev/kvm" if error.filename else "/dev/kvm refuses a guest"
        return f"{what}: {error.strerror}"
    if reason != EXIT_IO:
        return f"a test guest stopped for KVM's exit reason {reason}"
    # A processor leaves a handful to KVM at most.
    return "KVM interprets what a guest's kernel does instead of running it" if count > ROUNDS else ""


def judge(user: str) -> str:
    """Become the user, which only root can, and return what is wrong with KVM, or an empty text."""
    try:
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
        if user and os.geteuid() == 0:
            entry = pwd.getpwnam(user)
            os.initgroups(user, entry.pw_gid)
            os.setgid(entry.pw_gid)
            os.setuid(entry.pw_uid)
        return verdict()
    except Exception as error:
        return f"the check failed: {error!r}"


def begin(user: str = "") -> tuple[int, int]:
    """Start a process that judges, for it may hang; return its id, and the pipe that `finish` reads.

    To be called before threads start. A fork needs hardly any processor time, which a program of its own would.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writer, (judge(user) or "-").encode())
        finally:
            os._exit(0)
    os.close(writer)
    return child, reader


def finish(child: int, reader: int) -> str:
    """Wait for what `begin` started; return what is wrong with KVM, or an empty text."""
    ended = select.select([reader], [], [], WALL_SECONDS)[0]
    found = os.read(reader, 4096).decode() if ended else ""
    os.close(reader)
    if not ended:
        os.kill(child, signal.SIGKILL)
    # What can't be killed is not waited for.
    os.waitpid(child, 0 if ended else os.WNOHANG)
    limits = f"{CPU_SECONDS} s of processor time, or {WALL_SECONDS} s"
    return found.removeprefix("-") if found else f"a test guest did not end within {limits}"


def fault(user: str = "") -> str:
    """Return why `user`, or without one this process, can't use KVM; an empty text where it works."""
    return finish(*begin(user))


def choice(virt_type: str, why_not: str) -> tuple[str, str]:
    """Return how guests run, `kvm` or `qemu`, and why: by the setting and by what is wrong with KVM."""
    if virt_type == "qemu":
        return "qemu", "hotstack_os_virt_type is qemu"
    return ("qemu", why_not) if why_not else ("kvm", "KVM runs a test guest")


if __name__ == "__main__":
    sys.stdout.write(f"{fault(*sys.argv[1:2])}\n")
