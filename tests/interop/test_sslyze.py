"""A scanner that others judge web servers with, against the gate: nothing to find (Mozilla's intermediate profile)."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import pytest

from dicomgate.gate.settings import TlsProfile
from gate.encrypted import house


@pytest.mark.interop
@pytest.mark.parametrize("profile", [TlsProfile.BCP195, TlsProfile.TLS13_ONLY])
def test_no_finding_against_the_intermediate_profile(
    tmp_path: Path, profile: TlsProfile, request: pytest.FixtureRequest
) -> None:
    plugin = request.config.pluginmanager.get_plugin(str(Path(__file__).parent / "conftest.py"))
    assert plugin is not None
    plugin.require_package("sslyze")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the roots that it brings along
        import sslyze
        from sslyze.mozilla_tls_profile import tls_config_checker as checker

        with house(tmp_path, tls=lambda made: replace(made.tls, client_ca=None, profile=profile)) as made:
            scanner = sslyze.Scanner()
            trusted = sslyze.CertificateInfoExtraArgument(custom_ca_file=made.ca.certificate)
            scanner.queue_scans(
                [
                    sslyze.ServerScanRequest(
                        server_location=sslyze.ServerNetworkLocation("127.0.0.1", made.port, "127.0.0.1"),
                        scan_commands=checker.SCAN_COMMANDS_NEEDED_BY_MOZILLA_CHECKER,
                        scan_commands_extra_arguments=sslyze.ScanCommandsExtraArguments(certificate_info=trusted),
                    )
                ]
            )
            (result,) = scanner.get_results()
    wanted = checker.MozillaTlsConfiguration.get(checker.TlsConfigurationEnum.MOZILLA_INTERMEDIATE)
    checker.check_server_against_tls_configuration(result, wanted)
