"""Every detector, in the order of the catalogue. A new one is a file in detectors/ and a line here."""

from dicomgate.detect.detector import Detector
from dicomgate.detect.detectors.d01_refusals import Refusals
from dicomgate.detect.detectors.d02_called_titles import CalledTitles
from dicomgate.detect.detectors.d03_calling_titles import CallingTitles
from dicomgate.detect.detectors.d04_user_failures import UserFailures
from dicomgate.detect.detectors.d05_users_tried import UsersTried
from dicomgate.detect.detectors.d06_new_pair import NewPair
from dicomgate.detect.detectors.d07_title_twice import TitleTwice
from dicomgate.detect.detectors.d08_wrong_certificate import WrongCertificate
from dicomgate.detect.detectors.d09_scanner_marks import ScannerMarks
from dicomgate.detect.detectors.d10_capability_sweep import CapabilitySweep
from dicomgate.detect.detectors.d11_open_query import OpenQuery
from dicomgate.detect.detectors.d12_matches import Matches
from dicomgate.detect.detectors.d13_stepped_queries import SteppedQueries
from dicomgate.detect.detectors.d14_new_destination import NewDestination
from dicomgate.detect.detectors.d15_destinations_tried import DestinationsTried
from dicomgate.detect.detectors.d16_volume import Volume
from dicomgate.detect.detectors.d17_odd_hours import OddHours
from dicomgate.detect.detectors.d18_slow_harvest import SlowHarvest
from dicomgate.detect.detectors.d19_blind_retrieval import BlindRetrieval
from dicomgate.detect.detectors.d20_altered_instance import AlteredInstance
from dicomgate.detect.detectors.d23_role_violation import RoleViolation
from dicomgate.detect.detectors.d25_dangerous_names import DangerousNames
from dicomgate.detect.detectors.d26_malformed import Malformed
from dicomgate.detect.detectors.d27_length_lie import LengthLie
from dicomgate.detect.detectors.d28_slow import Slow
from dicomgate.detect.detectors.d29_crowd import Crowd
from dicomgate.detect.detectors.d31_deep_query import DeepQuery
from dicomgate.detect.detectors.d33_downgrade import Downgrade
from dicomgate.detect.detectors.d34_bad_certificates import BadCertificates
from dicomgate.detect.detectors.d35_changed_archive import ChangedArchive
from dicomgate.detect.detectors.d36_archive_falls import ArchiveFalls
from dicomgate.detect.detectors.d37_honeytoken import Honeytoken
from dicomgate.detect.detectors.d38_audit_trouble import AuditTrouble
from dicomgate.detect.detectors.d39_channel_down import ChannelDown

DETECTORS: tuple[type[Detector], ...] = (
    Refusals,
    CalledTitles,
    CallingTitles,
    UserFailures,
    UsersTried,
    NewPair,
    TitleTwice,
    WrongCertificate,
    ScannerMarks,
    CapabilitySweep,
    OpenQuery,
    Matches,
    SteppedQueries,
    NewDestination,
    DestinationsTried,
    Volume,
    OddHours,
    SlowHarvest,
    BlindRetrieval,
    AlteredInstance,
    RoleViolation,
    DangerousNames,
    Malformed,
    LengthLie,
    Slow,
    Crowd,
    DeepQuery,
    Downgrade,
    BadCertificates,
    ChangedArchive,
    ArchiveFalls,
    Honeytoken,
    AuditTrouble,
    ChannelDown,
)
BY_ID: dict[str, type[Detector]] = {detector.id: detector for detector in DETECTORS}
