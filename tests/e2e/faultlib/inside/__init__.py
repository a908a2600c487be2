# SPDX-License-Identifier: Apache-2.0
"""Programs that run in the lab host, with nothing but the standard library."""
