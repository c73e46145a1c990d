"""A caller that a test kills while it waits for the answer: killed.py URL KEY_FILE."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

from pay_once import Options, PayOnce, SqliteKeyStore

pay_once = PayOnce(sys.argv[1], SqliteKeyStore(sys.argv[2]), options=Options(wait_s=1))
pay_once.payment("order-1").charge({"amount": 1001, "currency": "GBP", "payment_method": "pm_card_visa"})
