"""The operator's configuration: TOML files to frozen values; complaints name file, table, key."""

from hacli.config.places import Directories, find_configuration, find_directories
from hacli.config.secrets import read_secret
from hacli.config.settings import (
    BmcSettings,
    CloudSettings,
    ClusterSettings,
    HostSettings,
    PathSettings,
    ProbeSettings,
    Settings,
    read_settings,
)

__all__ = [
    "BmcSettings",
    "CloudSettings",
    "ClusterSettings",
    "Directories",
    "HostSettings",
    "PathSettings",
    "ProbeSettings",
    "Settings",
    "find_configuration",
    "find_directories",
    "read_secret",
    "read_settings",
]
