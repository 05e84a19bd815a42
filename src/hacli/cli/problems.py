"""Every problem code: what it means and what helps. The source of `hacli explain` and its docs."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One code. ``cures`` are sentences or commands, most likely first."""

    meaning: str
    cures: tuple[str, ...]


PROBLEMS: dict[str, Problem] = {
    "HOST_FAILED": Problem(
        "Pacemaker has lost the host and nothing proves that it is dead. Its VMs may be down, or "
        "running on with their disks open.",
        (
            "hacli recover HOST --dry-run    shows checks and plan",
            "Do not evacuate or reboot its VMs by hand: a living copy would run twice.",
        ),
    ),
    "HOST_FENCED": Problem(
        "The host is off and Nova still places VMs on it: they are down.",
        ("hacli recover HOST    proves that it is off and rebuilds them elsewhere",),
    ),
    "HOST_UNKNOWN": Problem(
        "A source that decides is silent, in maintenance, or does not know the host. In doubt a "
        "host counts as alive.",
        ("hacli status HOST    says which source", "End the maintenance, or mend the source."),
    ),
    "HOST_DEGRADED": Problem(
        "The host lives, but nova-compute or a service before it in the chain does not run, or the "
        "node is in standby.",
        ("Look at the service's log on the host; crm_resource --cleanup starts it again.",),
    ),
    "HOST_RETURNED": Problem(
        "The host is alive again after a recovery and still forced down, disabled or gated.",
        (
            "hacli enable HOST    takes it back, step by step",
            "then hacli recover HOST    starts what was not evacuated, where it is",
        ),
    ),
    "HOST_LOST": Problem(
        "The host was lost, or fenced, again while VMs were being started on it.",
        ("hacli recover HOST    judges it anew: an outage, or started in place once it is back",),
    ),
    "VMS_STOPPED": Problem(
        "The host was fenced and is back, and VMs that ran on it before do not run: their guests "
        "died with it, whatever Nova calls them.",
        (
            "hacli recover HOST --dry-run    shows which, and how each is started",
            "hacli recover HOST    starts each once, where it is; those that run are not touched",
        ),
    ),
    "HOST_NAME": Problem(
        "No host has exactly this name. hacli never guesses.", ("hacli status --all",)
    ),
    "HOST_HEALTHY": Problem(
        "Pacemaker has a working connection to the host, or was told to have none: it is not dead.",
        (
            "Empty it without downtime: hacli disable HOST, then live-migrate its VMs.",
            "Power it off all the same: --allow-healthy",
        ),
    ),
    "NAME_AMBIGUOUS": Problem(
        "The name stands for more than one machine in Pacemaker and Nova together, or its BMC is "
        "named as another host's, too.",
        (
            'Name both sides: [host."NAME"] pacemaker = "…" and nova = "…" in hacli.toml.',
            "One BMC for two hosts: correct hacli.toml or the stonith device that names it.",
        ),
    ),
    "NAME_UNJOINED": Problem(
        "Pacemaker and Nova do not both know the host under names that can be joined.",
        ('Name both sides: [host."NAME"] pacemaker = "…" and nova = "…" in hacli.toml.',),
    ),
    "MAINTENANCE_MODE": Problem(
        "Node, connection or cluster are in maintenance or unmanaged, so what Pacemaker says of "
        "the host means nothing: a crashed node looks the same as a healthy one.",
        ("End the maintenance.", "You know that it is dead: --allow-healthy"),
    ),
    "NO_QUORUM": Problem(
        "This partition of the cluster has no quorum or no DC: the other half may be acting now.",
        (
            "Run hacli on a controller of the majority.",
            "The cluster itself is lost: --without-cluster, with care.",
        ),
    ),
    "TOO_MANY_DOWN": Problem(
        "So many hosts look down at once that the observer is suspected first: a switch, a "
        "firewall, this controller's own network.",
        ("Look at the network.", "It is a real disaster: --allow-storm, one host after another."),
    ),
    "FENCE_MISSING": Problem(
        "Pacemaker has no fence device for the host and the configuration names no BMC.",
        ('[[host."NAME".bmc]] in hacli.toml, or a stonith device with pcmk_host_list.',),
    ),
    "FENCE_DISABLED": Problem(
        "Fencing is switched off in the cluster (stonith-enabled=false): lost nodes are assumed "
        "dead without proof.",
        ("pcs property set stonith-enabled=true",),
    ),
    "FENCE_UNREACHABLE": Problem(
        "The BMC gives no answer. The machine may be without power, or only its BMC may be; "
        "silence is never taken for OFF.",
        (
            "Reset the BMC, check its cable and 'IPMI over LAN'; then the same command again.",
            "You cut the power yourself: hacli recover HOST --fence-ack HOST",
        ),
    ),
    "FENCE_LOGIN": Problem(
        "The BMC refuses user or password.",
        ("Mend the login in the stonith device or in hacli.toml (password_file).",),
    ),
    "FENCE_FAILED": Problem(
        "The BMC acknowledged OFF and still reads ON.",
        (
            "Cut the power at the rack, then: hacli recover HOST --fence-ack HOST",
            "A BMC that acknowledges and does nothing wants a reset (ipmitool mc reset cold).",
        ),
    ),
    "NOT_FENCED": Problem(
        "Death could not be proven within the limit, so no VM was touched.",
        ("The error's Why names what was missing; the same command tries again.",),
    ),
    "SIGN_OF_LIFE": Problem(
        "A witness speaks against death: the BMC reads ON, Pacemaker's connection is Started, "
        "nova-compute's heartbeat advances, or another host vanished when the power was cut. One "
        "sign of life outweighs every proof.",
        (
            "A heartbeat behind a BMC that reads OFF: the BMC lies, or belongs to another machine.",
            "Cut the power at the rack and run the same command again.",
        ),
    ),
    "EVIDENCE_LOST": Problem(
        "The host was proven dead, but its witnesses have been silent for a minute: no further "
        "request was sent.",
        ("hacli recover HOST    goes on when they answer again",),
    ),
    "PACEMAKER_NOT_TOLD": Problem(
        "The host is proven off, but Pacemaker could not be told: it may go on trying to fence.",
        ("stonith_admin --confirm HOST    once you have read the proof above",),
    ),
    "LOCAL_DISK": Problem(
        "The VM's disk is a file on the dead host. Nova would silently make a new one from the "
        "image, so the VM is left alone.",
        (
            "Repair the host: the disk is intact there.",
            "Its data may be lost: hacli recover HOST --local-disks image",
            'The disk is on shared storage after all: [host."NAME"] storage = "shared"',
            "Before it happens: openstack server image create VM    is a way back",
        ),
    ),
    "STORAGE_UNVERIFIED": Problem(
        "It is not known whether the VM would survive the loss of its host: a source was silent, "
        "or what it says is no proof. Nothing is called safe on a guess.",
        (
            "hacli verify-storage    says for each VM which source, and why",
            "Mend the source; the storage probe is [storage] probe in hacli.toml.",
        ),
    ),
    "STORAGE_MISMATCH": Problem(
        "hacli.toml and what was found disagree about where a host keeps disks. `hacli recover` "
        "goes by hacli.toml: it would let Nova rebuild a local disk, or leave shared ones alone.",
        ('Say what is so: [host."NAME"] storage = "local" or "shared" in hacli.toml.',),
    ),
    "STALE_DIRECTORY": Problem(
        "A host with disks of its own has the directory of a VM that lives elsewhere. If the VM "
        "is evacuated to this host, Nova takes the storage for shared and boots what lies there.",
        (
            "Make sure that the VM does not live there, then move the directory away.",
            "hacli explain AUTOSTART",
        ),
    ),
    "AUTOSTART": Problem(
        "Something on the host starts guests, or nova-compute, by itself at boot. After an "
        "evacuation old guests would run a second time before nova-compute has destroyed them.",
        (
            "systemctl disable libvirt-guests    and nova-compute: Pacemaker starts it",
            "virsh autostart --disable DOMAIN",
            "resume_guests_state_on_host_boot = false in nova.conf",
        ),
    ),
    "VOLUME_BACKEND": Problem(
        "The cinder-volume that attaches the VM's volume is down, or runs on the VM's own host and "
        "dies with it. Nova would accept the evacuation, and it would fail.",
        (
            "openstack volume service list    then start what is down",
            "Run cinder-volume on controllers, or as a cluster of several.",
        ),
    ),
    "VM_VTPM": Problem(
        "The VM has a virtual TPM, whose state is on its host: Nova refuses to evacuate it.",
        ("Repair the host; there is no other way. Its owner should know.",),
    ),
    "VM_ZONE": Problem(
        "The VM is pinned to an availability zone with no other host that is up and enabled, or "
        "there is no other host at all.",
        ("Add or enable a host in the zone.", "openstack availability zone list --compute --long"),
    ),
    "VM_STATE": Problem(
        "Nova evacuates only VMs that are active, stopped or in error; started in place are only "
        "those that were plainly running.",
        ("Repair the host, or: openstack server set --state error VM, then recover again.",),
    ),
    "VM_MIGRATING": Problem(
        "A migration or resize of the VM was unfinished when the host died: it may already run on "
        "the other host.",
        (
            "Look on the destination (virsh list); when it is not there:",
            "hacli recover HOST --server VM --migration-checked",
        ),
    ),
    "VM_DELETING": Problem(
        "The VM was being deleted; an evacuation would bring it back.", ("Let its owner decide.",)
    ),
    "VM_AFFINITY": Problem(
        "Its server group (hard affinity) has all its members on the dead host, and Nova accepts "
        "no other host for them.",
        ("Repair the host, or take the VM out of its group.",),
    ),
    "NOT_CHOSEN": Problem(
        "The VM was not among those named with --server.", ("hacli recover HOST",)
    ),
    "VM_REFUSED": Problem(
        "Nova refused to evacuate the VM, in the words shown.",
        ("Mend what Nova names, then: hacli recover HOST (asks only for what is left).",),
    ),
    "NO_ROOM": Problem(
        "Nova found no host for the VM: no room, a server group, an availability zone, or no "
        "enabled host. The VM is in ERROR, its disk intact.",
        ("Make room, then: hacli recover HOST (asks only for what is left).",),
    ),
    "VM_FAILED": Problem(
        "The evacuation failed on the destination; a copy may be running there.",
        (
            "Look on the destination (virsh list) and in its nova-compute log.",
            "hacli recover HOST    asks once more, for the same destination only",
        ),
    ),
    "VM_WRONG_STATE": Problem(
        "The VM is on its new host, in another power state than before.",
        ("Start or stop it, as its owner wants.",),
    ),
    "VM_STUCK": Problem(
        "Nova's record of the evacuation has not moved for ten minutes (a conductor or compute "
        "died in the middle).",
        (
            "Look for the guest on source and destination (virsh list).",
            "It runs nowhere: openstack server set --state error VM, then hacli recover HOST",
            "Never start nova-compute on the source meanwhile: it would destroy the guest.",
        ),
    ),
    "VM_UNKNOWN": Problem(
        "It is not known whether Nova took the request: no answer, and no trace yet.",
        ("hacli recover HOST    in ten minutes: it looks again and asks only when that is safe",),
    ),
    "VM_NOT_STARTED": Problem(
        "The VM was to be started where it is, and does not run; the text says what Nova says.",
        ("Look at nova-compute's log on the host.", "openstack server reboot --hard VM"),
    ),
    "VM_STARTED_ONCE": Problem(
        "Somebody has asked Nova for something with this VM since the outage, and it does not run. "
        "hacli asks for no VM twice.",
        (
            "openstack server event list VM    shows who asked for what",
            "openstack server reboot --hard VM",
        ),
    ),
    "VM_EVACUATED": Problem(
        "An evacuation of the VM away from this host has not ended, or has failed on another host, "
        "where a copy may run: it is not started here.",
        ("Look on the destination (virsh list).", "hacli explain VM_STUCK"),
    ),
    "VM_UNSURE": Problem(
        "Whether the VM runs, or ran before the outage, is not certain, so it is not touched.",
        ("Look at it; if it should run: openstack server reboot --hard VM",),
    ),
    "VM_NOT_ASKED": Problem(
        "The request for the VM never reached Nova.", ("hacli recover HOST    goes on from here",)
    ),
    "PARTIAL_RECOVERY": Problem(
        "Most VMs are back; those named are not.",
        ("hacli recover HOST    tries only these again",),
    ),
    "OPEN_EVACUATIONS": Problem(
        "Evacuations from the host are still open; its nova-compute would destroy their guests.",
        ("hacli recover HOST    follows them to their end", "hacli explain VM_STUCK"),
    ),
    "NOVA_CLEANUP": Problem(
        "The host is not back in service: its chain has not started, nova-compute has not "
        "reported, or has not yet cleaned up what was evacuated.",
        ("Look at nova-compute's log on the host, then: hacli enable HOST",),
    ),
    "NOT_OURS": Problem(
        "The host was disabled or forced down by somebody else; hacli undoes only its own.",
        ("hacli enable HOST --adopt    takes it over",),
    ),
    "NOVA_WRITE_FAILED": Problem(
        "Nova could not be told, or does not show the change.",
        ("The same command again goes on from here.",),
    ),
    "SERVICE_MISSING": Problem(
        "Nova does not list the host's compute service, or its cell is down.",
        ("openstack compute service list",),
    ),
    "SERVERS_UNSURE": Problem(
        "Nova's lists are incomplete or contradict each other; an empty list is believed only when "
        "it is proven.",
        ("The same command again, when Nova answers in full.",),
    ),
    "API_UNREACHABLE": Problem(
        "A source gave no usable answer.", ("hacli status    shows which sources answer",)
    ),
    "ANSWER_UNREADABLE": Problem(
        "A source answered in a way that hacli does not understand, so it decides nothing by it.",
        ("Tell us: the versions in use, and the answer.",),
    ),
    "NOT_PERMITTED": Problem(
        "The login, a file's mode or a missing group (haclient) forbids it.",
        ("hacli needs the role admin in a project, and root or group haclient on a controller.",),
    ),
    "LOCKED": Problem(
        "Another run works on this host, here or on another controller; two at once would ask "
        "twice. The error names it: run, user, machine, pid, since when.",
        (
            "Wait for its end.",
            "hacli history    on its machine shows what it does",
            (
                "It is gone for certain: --take-over. hacli takes over by itself when its process "
                "on this machine is dead, or the cluster has fenced its controller or seen it go."
            ),
        ),
    ),
    "CLAIM_LOST": Problem(
        "Another run has taken the host over from this one, or its claim was deleted from the CIB. "
        "This run has stopped and sends nothing more.",
        ("hacli status HOST", "hacli history    on the machine of the other run"),
    ),
    "CLAIM_LEFT": Problem(
        "The run has ended and its claim of the host is still there: the cluster did not answer "
        "when it was to be deleted, or Nova was asked for a VM and no trace of that is seen yet. "
        "Only this machine's journal knows of such a request, so other controllers are kept out.",
        (
            "hacli recover HOST    on this machine: it sees that the old process is dead",
            "This machine is gone: the same on another one, with --take-over.",
        ),
    ),
    "CLAIM_UNREADABLE": Problem(
        "The CIB has a claim of the host that this hacli cannot read. A newer hacli may be at "
        "work, so the host is left alone, also with --take-over.",
        (
            "Use the hacli that wrote it.",
            (
                "Nobody works on the host any more: cibadmin --delete --xpath "
                "\"//cluster_property_set[@id='hacli-claim-HOST']\""
            ),
        ),
    ),
    "FOREIGN_RUN": Problem(
        "Without the cluster nobody sees the claims, and Nova's record of the host has the mark of "
        "a recovery that this machine does not know.",
        ("hacli history    on the other controllers", "No run works on it: --take-over"),
    ),
    "CONFIG": Problem("The configuration is missing or wrong.", ("The text names file and key.",)),
    "JOURNAL": Problem(
        "The journal cannot be used. It holds history; what must not be done twice is read from "
        "Nova and the cluster.",
        ("The error names the command that moves it away.",),
    ),
    "USAGE": Problem("Wrong words on the command line.", ("hacli COMMAND --help",)),
    "REFUSED": Problem("A safety check said no.", ("The error's Why says which.",)),
    "DECLINED": Problem(
        "You answered no, or not with the name of the host; nothing was done.",
        ("The same command again asks again; --dry-run shows what it would do.",),
    ),
    "TIMEOUT": Problem(
        "The limit of --timeout has passed; the run can be resumed.", ("The same command again.",)
    ),
    "INTERRUPTED": Problem(
        "Ctrl-C or SIGTERM. What Nova has accepted goes on.", ("The same command again.",)
    ),
    "FAILED": Problem("A step failed; the message says which.", ("hacli history show RUN",)),
    "BUG": Problem("hacli did something nobody foresaw.", ("Tell us: the traceback above.",)),
    "POWER_ON": Problem("The host could not be switched on again.", ("Switch it on by hand.",)),
    "WAITING": Problem(
        "What `enable` waits for at the moment: the host, a service of its chain, or Nova.",
        ("Let it wait, or mend what it names; --timeout sets how long it waits.",),
    ),
}
