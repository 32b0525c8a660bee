"""Keyfactor Command in small: what a client and an orchestrator can see of it, and faults to order.

Where Keyfactor's sources do not say what Command does, the choice made here is marked "Our choice" where it is
made: `grep -rn -A2 "Our choice" keyfactor_standins/command` lists them all. It is never used without being
asked for, and says so when it starts.
"""
