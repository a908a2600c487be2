# SPDX-License-Identifier: Apache-2.0
"""Faults: what is broken on purpose in a lab host, and what is measured while it comes back."""
