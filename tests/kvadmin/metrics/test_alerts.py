"""The rules of docs/alerts.yaml, tried by Prometheus' own tool where it is installed (Debian: prometheus)."""

from __future__ import annotations

import shutil
import subprocess

import pytest
import yaml

from tests.reference import ROOT

RULES, CASES = ROOT / "docs/alerts.yaml", ROOT / "tests/kvadmin/metrics/alerts.test.yaml"
PROMTOOL = shutil.which("promtool")


def test_each_alert_rings_in_one_case_and_is_silent_in_another() -> None:
    alerts = [rule["alert"] for rule in yaml.safe_load(RULES.read_text("utf-8"))["groups"][0]["rules"]]
    cases = [case for test in yaml.safe_load(CASES.read_text("utf-8"))["tests"] for case in test["alert_rule_test"]]

    assert sorted({case["alertname"] for case in cases if "exp_alerts" in case}) == sorted(alerts)
    assert sorted({case["alertname"] for case in cases if "exp_alerts" not in case}) == sorted(alerts)


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed: nobody tried the rules for alerts")
@pytest.mark.parametrize("order", [("check", "rules", "--lint-fatal", str(RULES)), ("test", "rules", str(CASES))])
def test_prometheus_takes_the_rules_and_they_ring_as_they_should(order: tuple[str, ...]) -> None:
    ran = subprocess.run([str(PROMTOOL), *order], capture_output=True, text=True, check=False)

    assert ran.returncode == 0, ran.stdout + ran.stderr
