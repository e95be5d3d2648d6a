"""What can go wrong when the parts are put together and started.

DeployError
  ProvisioningFailed   a key, a certificate or a registration can't be made: mend what is named
  ProcessEnded         a process of the federation ended by itself: read the log that is named
  NotReady             a process didn't answer in time: read its log, or wait longer
  FederationFailed     the rounds did not come to their end: read the reason, then resume
  JoiningFailed        a kit, a request or a member is not as it must be: read which, then repeat
  BundleRefused        another app than the agreed one was sent to a site: ask the coordinator
  SimulationRefused    a simulation can't be run as asked: install or change what is named
  DemoFolderInUse      the demo's folder holds something else: name another
"""


class DeployError(Exception):
    """Base of every error that ophora_deploy raises on purpose."""


class ProvisioningFailed(DeployError):
    """Key material or a registration can't be made."""


class ProcessEnded(DeployError):
    """A process that should run has ended."""


class NotReady(DeployError):
    """A process didn't get ready within its bound."""


class FederationFailed(DeployError):
    """The coordinator's run ended without all its rounds."""


class JoiningFailed(DeployError):
    """A site can't be invited, join, be approved or be revoked as asked."""


class BundleRefused(DeployError):
    """The coordinator's Flower sent an app that the site did not agree to; it was not unpacked."""


class SimulationRefused(DeployError):
    """What is to be simulated is out of range, lacks a part, or is not what its folder holds."""


class DemoFolderInUse(DeployError):
    """The folder asked for is not empty and was not made by a demo."""
