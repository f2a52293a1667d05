# SPDX-License-Identifier: Apache-2.0
"""What bench/run is made of: stack (processes), scenarios (what), measure (rounds), report."""
