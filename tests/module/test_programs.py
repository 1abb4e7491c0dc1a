# SPDX-License-Identifier: Apache-2.0
"""Whole programs: those written for the framework's documented interface, and the demo apps."""

import subprocess
import sys
from pathlib import Path

import pytest

from necrostack.apps.etl import main as etl
from necrostack.apps.seance import main as seance

PROGRAMS = Path(__file__).parent / "programs"


def output(*arguments):
    done = subprocess.run([sys.executable, *map(str, arguments)], capture_output=True, text=True,
                          timeout=120)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    return done.stdout


def test_order_pipeline():
    assert output(PROGRAMS / "order_pipeline.py") == """\
ITEM_RESERVED {'item': 'skull'}
ITEM_RESERVED {'item': 'candle'}
4 3 0
ORDER_REJECTED {'reason': 'no items'}
2 1 0
2 1 1
ORDER_VALIDATED KeyError('raven')
{'skull': 2, 'candle': 0}
"""


def test_redis_worker(redis):
    assert output(PROGRAMS / "redis_worker.py", redis.url) == """\
['a', 'c', 'd'] True True
True resizers resizer-1
True True
"""


def test_own_parts():
    assert output(PROGRAMS / "own_parts.py") == """\
[0, 2, 1, 3] 4 4
DISCHARGED backend full
1
EnqueueError: backend full
1
ADMITTED True 36
True True True
ValidationError
ValidationError
ValidationError
ValidationError
frozen True
"""


# --- the demo apps ---

def test_seance_is_a_program():
    told = output("-m", "necrostack.apps.seance.main", "--spirit", "Poe", "Who?", "Why?")
    assert told.startswith("The candle flickers. Poe is here.\n  Who?\n    ")
    assert told.endswith("Poe fades.\n") and told.count("\n") == 6


def test_spirits_are_consistent(capsys):
    seance.main(["Why?", "Why?", "--spirit", "Poe"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == lines[3] == "  Why?" and lines[2] == lines[4]
    seance.main(["--spirit", " "])
    assert capsys.readouterr().out == ""


def test_etl_is_a_program():
    assert output("-m", "necrostack.apps.etl.main").split() == \
        ["Vienna", "137.49", "Graz", "21.70", "Linz", "3.50"]


@pytest.mark.parametrize("app", ["seance", "etl"])
def test_apps_show_the_log_of_the_spine(app):
    done = subprocess.run([sys.executable, "-m", f"necrostack.apps.{app}.main", "--verbose"],
                          capture_output=True, text=True, timeout=120)
    assert '"message":"Dispatching ' in done.stderr and done.returncode == 0


def test_etl_loses_no_row(tmp_path, capsys):
    file = tmp_path / "orders.csv"
    rows = [f"Town {n % 3},{n},0.10" for n in range(1000)] + ["x,1", "x,y,2", "x,1,2,3,4"]
    file.write_text("city,quantity,price\n" + "\n".join(rows) + "\n")
    etl.main([str(file)])
    out, err = capsys.readouterr()
    turnover = {n: sum(range(n, 1000, 3)) / 10 for n in range(3)}
    assert [line.split() for line in out.splitlines()] == \
        sorted((["Town", str(n), f"{value:.2f}"] for n, value in turnover.items()),
               key=lambda row: -float(row[2])) + [["X", "2.00"]]
    assert [line.split(":")[0] for line in err.splitlines()] == \
        ["line 1002 rejected", "line 1003 rejected"]


@pytest.mark.parametrize("start, city, shown", [(b"\xef\xbb\xbf", b"Graz", "Graz"),
                                               (b"", b"M\xfcnchen", "M\N{REPLACEMENT CHARACTER}Nchen")])
def test_etl_of_what_spreadsheets_write(tmp_path, capsys, start, city, shown):
    file = tmp_path / "orders.csv"
    file.write_bytes(start + b"city,quantity,price\r\n" + city + b",1,2\r\n")
    etl.main([str(file)])
    out, err = capsys.readouterr()
    assert out.split() == [shown, "2.00"] and err == ""


def test_etl_of_no_file(tmp_path, capsys):
    with pytest.raises(SystemExit, match="2"):
        etl.main([str(tmp_path / "orders.csv")])
    assert "orders.csv" in capsys.readouterr().err


@pytest.mark.parametrize("source", ["", "city,quantity,price\n", "quantity\n1\n"])
def test_etl_of_nothing_much(source, tmp_path, capsys):
    file = tmp_path / "orders.csv"
    file.write_text(source)
    etl.main([str(file)])
    assert capsys.readouterr().out == ""
