# SPDX-License-Identifier: Apache-2.0
# setup.sh - what quickstart and selftest share: the packages, and a build. To be sourced by bash.
#
# setup_packages GROUP…   installs what is missing of these groups of packaging/debian-packages
# setup_build DIR [ARG…]  configures (with ARG…) and builds in DIR, a folder below the repository
#
# Both say what they do in one line each and take a moment when there is nothing to do.

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

say() {
    printf '==> %s\n' "$*" >&2
}

die() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null 2>&1; then
        sudo "$@"
    else
        die "root is needed for '$*', and there is no sudo: run it as root, then start me again"
    fi
}

package_is_installed() {
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ] && return
    # A package may be provided by another (pkg-config by pkgconf).
    dpkg-query -W -f '${db:Status-Status} ${Provides}\n' 2>/dev/null |
        grep -Eq "^installed (.*[ ,])?$1([ ,(]|\$)"
}

# a|b: a where the release has it, else b.
choose_package() {
    case $1 in
    *"|"*)
        if package_is_installed "${1%%|*}" || apt-cache show "${1%%|*}" >/dev/null 2>&1; then
            echo "${1%%|*}"
        else
            echo "${1#*|}"
        fi
        ;;
    *) echo "$1" ;;
    esac
}

setup_packages() {
    command -v dpkg-query >/dev/null 2>&1 ||
        die "this needs Debian 12 or newer, or Ubuntu; elsewhere install the packages of packaging/debian-packages by hand"
    local group package rest missing=()
    while read -r group package rest; do
        case " $* " in
        *" $group "*)
            package=$(choose_package "$package")
            package_is_installed "$package" || missing+=("$package")
            ;;
        esac
    done < <(grep -v '^#' "$repository/packaging/debian-packages")
    [ ${#missing[@]} -gt 0 ] || return 0
    say "installing with apt-get, which needs root: ${missing[*]}"
    mkdir -p "$repository/build"
    as_root apt-get update -qq >/dev/null ||
        say "apt-get update failed; trying with the lists that are here"
    quietly "$repository/build/apt.log" as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -q --no-install-recommends "${missing[@]}"
}

# Runs a command with its output in a file, shown only when it fails.
quietly() {
    local log=$1
    shift
    if ! "$@" >"$log" 2>&1; then
        tail -n 60 "$log" >&2
        die "failed: $* (all of it is in $log)"
    fi
}

bootstrap_if_needed() {
    local made=$repository/configure
    if [ -x "$made" ] && [ -f "$repository/Makefile.in" ] &&
        [ "$made" -nt "$repository/configure.ac" ] &&
        [ "$repository/Makefile.in" -nt "$repository/Makefile.am" ]; then
        return
    fi
    say "making ./configure"
    mkdir -p "$repository/build"
    quietly "$repository/build/bootstrap.log" "$repository/bootstrap"
}

setup_build() {
    local dir=$repository/$1
    shift
    bootstrap_if_needed
    if [ -f "$repository/config.status" ]; then
        # automake refuses to build elsewhere from a tree that was configured itself.
        say "removing what ./configure made in the tree itself (make distclean)"
        make -C "$repository" -s distclean >/dev/null 2>&1 ||
            die "the tree was configured itself: run 'make distclean' in $repository, then start me again"
    fi
    mkdir -p "$dir"
    # Configured again when the arguments or ./configure are others than last time.
    if [ ! -f "$dir/Makefile" ] || [ "$repository/configure" -nt "$dir/config.status" ] ||
        [ "$*" != "$(cat "$dir/.configured-with" 2>/dev/null)" ]; then
        say "configuring ${dir#"$repository/"}${*:+ ($*)}"
        (cd "$dir" && quietly "$dir/configure.log" "$repository/configure" "$@")
        printf '%s\n' "$*" >"$dir/.configured-with"
    fi
    if ! make -C "$dir" -q all >/dev/null 2>&1; then
        say "building ${dir#"$repository/"}"
        quietly "$dir/make.log" make -C "$dir" -j"$(nproc)"
    fi
}
