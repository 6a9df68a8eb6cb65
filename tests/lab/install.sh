#!/bin/sh
# The real peers of the tests as Debian packages, and the relays the benchmark compares with.
# Without root nothing is installed; the tests then say which of them they had to leave out, and why.
set -eu
packages="dcmtk orthanc haproxy nginx libnginx-mod-stream stunnel4"
# Directories, realms and repositories, and what the adapters for them compile against
packages="$packages slapd ldap-utils krb5-kdc krb5-admin-server krb5-user xmlsec1 rsyslog rsyslog-openssl prometheus"
packages="$packages gcc libkrb5-dev"
# Networks of our own, tunnels and firewalls
packages="$packages iproute2 procps nftables tcpdump wireguard-go wireguard-tools strongswan-charon strongswan-swanctl"
packages="$packages libcharon-extra-plugins libstrongswan-standard-plugins"
# A browser that looks at reports
packages="$packages chromium fonts-dejavu-core"
# Readers of exported rules
packages="$packages fail2ban"
missing=""
for package in $packages; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
done
# Unpacked, not installed: its installation wants to be registered at a service on the net.
crowdsec=/opt/dicomgate-lab/crowdsec
[ -x $crowdsec/usr/bin/crowdsec ] || missing="$missing crowdsec"
[ -n "$missing" ] || exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "lab: not installed, and not root on Debian:$missing" >&2
    exit 0
fi
# A packaged service must not start by itself and take a port.
made=0
if [ ! -e /usr/sbin/policy-rc.d ]; then
    printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
    chmod +x /usr/sbin/policy-rc.d
    made=1
fi
export DEBIAN_FRONTEND=noninteractive
apt-get -qq -o DPkg::Lock::Timeout=600 update
if [ ! -x $crowdsec/usr/bin/crowdsec ]; then
    missing=${missing% crowdsec}
    mkdir -p $crowdsec
    (cd $crowdsec && apt-get -qq -o APT::Sandbox::User=root download crowdsec && dpkg -x crowdsec_*.deb . && rm crowdsec_*.deb)
fi
# shellcheck disable=SC2086 - a list of words
[ -z "$missing" ] || apt-get -qq -o DPkg::Lock::Timeout=600 install -y --no-install-recommends $missing >/dev/null
[ "$made" = 0 ] || rm -f /usr/sbin/policy-rc.d
