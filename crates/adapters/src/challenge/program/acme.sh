# What a script of acme.sh's dnsapi finds around it, written from acme.sh's "DNS API Dev Guide".
#
# Called as: sh -c THIS acme.sh SCRIPT add|rm RECORD VALUE. The script is sourced, and its function
# called: `dns_x_add RECORD VALUE`. PERENNIAL_STATE is a folder of its own, PERENNIAL_GIVEN the
# names of the variables that the operator gave: those are never written down.

set -f
script=$1 verb=$2 record=$3 value=$4
set +f
umask 077

PROJECT_NAME=acme.sh
USER_AGENT=perennial
LE_CONFIG_HOME=$PERENNIAL_STATE
LE_WORKING_DIR=$PERENNIAL_STATE
ACCOUNT_CONF_PATH=$PERENNIAL_STATE/account.conf
DOMAIN_CONF=$PERENNIAL_STATE/domain.conf
HTTP_HEADER=$PERENNIAL_STATE/http.header
DEBUG=${DEBUG:-0}
HOME=${HOME:-$PERENNIAL_STATE}
export LE_CONFIG_HOME LE_WORKING_DIR HTTP_HEADER HOME

# Saying.
_info() { if [ -n "${2-}" ]; then printf '%s=%s\n' "$1" "'$2'"; else printf '%s\n' "$1"; fi; }
_err() { _info "$@" >&2; return 1; }
_perennial_debug() { [ "$DEBUG" -lt "$1" ] || { shift; _info "$@" >&2; }; }
_debug() { _perennial_debug 1 "$@"; }
_debug2() { _perennial_debug 2 "$@"; }
_debug3() { _perennial_debug 3 "$@"; }
_secure_debug() { :; }
_secure_debug2() { :; }
_secure_debug3() { :; }
__green() { printf '%s' "$1"; }
__red() { printf '%s' "$1"; }

# Remembering: one file for each name.
_perennial_file() { printf '%s/saved.%s' "$PERENNIAL_STATE" "$1"; }
_perennial_save() {
  case " $PERENNIAL_GIVEN " in *" $1 "*) return 0 ;; esac
  printf '%s' "$2" >"$(_perennial_file "$1")"
}
_perennial_read() {
  _perennial_path=$(_perennial_file "$1")
  [ ! -f "$_perennial_path" ] || cat "$_perennial_path"
}
_perennial_clear() { rm -f "$(_perennial_file "$1")"; }
_saveaccountconf() { _perennial_save "$1" "$2"; }
_saveaccountconf_mutable() { _perennial_save "$1" "$2"; }
_readaccountconf() { _perennial_read "$1"; }
_readaccountconf_mutable() { _perennial_read "$1"; }
_clearaccountconf() { _perennial_clear "$1"; }
_clearaccountconf_mutable() { _perennial_clear "$1"; }
_savedomainconf() { _perennial_save "domain.$1" "$2"; }
_readdomainconf() { _perennial_read "domain.$1"; }
_cleardomainconf() { _perennial_clear "domain.$1"; }

# HTTP: headers come in _H1 to _H5, those of the answer go to $HTTP_HEADER.
_inithttp() { :; }
_resethttp() { unset _H1 _H2 _H3 _H4 _H5; }
_perennial_curl() {
  set -- --silent --show-error --location --user-agent "$USER_AGENT" \
    --dump-header "$HTTP_HEADER" "$@"
  [ -z "${HTTPS_INSECURE-}" ] || set -- "$@" --insecure
  for _perennial_header in "${_H1-}" "${_H2-}" "${_H3-}" "${_H4-}" "${_H5-}"; do
    [ -z "$_perennial_header" ] || set -- "$@" --header "$_perennial_header"
  done
  curl "$@"
}
_get() {
  set -- "$1" "${2-}" "${3-}"
  if [ -n "$2" ]; then
    _perennial_curl --head ${3:+--max-time "$3"} "$1"
  else
    _perennial_curl ${3:+--max-time "$3"} "$1"
  fi
}
_post() {
  set -- "$1" "$2" "${3-}" "${4:-POST}" "${5-}"
  [ -z "$5" ] || _perennial_type="Content-Type: $5"
  if [ "$4" = HEAD ]; then
    set -- "$1" "$2" "$3" "$4" --head
  else
    set -- "$1" "$2" "$3" "$4" ${5:+--header "$_perennial_type"} --data "$1"
  fi
  _perennial_url=$2 _perennial_base64=$3 _perennial_method=$4
  shift 4
  if [ -n "$_perennial_base64" ]; then
    _perennial_curl --request "$_perennial_method" "$@" "$_perennial_url" | _base64
  else
    _perennial_curl --request "$_perennial_method" "$@" "$_perennial_url"
  fi
}

# Texts.
_contains() { printf '%s\n' "$1" | grep -q -- "$2"; }
_startswith() { case $1 in "$2"*) return 0 ;; esac; return 1; }
_endswith() { case $1 in *"$2") return 0 ;; esac; return 1; }
_hasfield() {
  case "${3:-,}$1${3:-,}" in *"${3:-,}$2${3:-,}"*) return 0 ;; esac
  return 1
}
_getfield() { printf '%s\n' "$1" | cut -d "${3:-,}" -f "$2"; }
_egrep_o() { grep -E -o -- "$1"; }
_head_n() { head -n "$1"; }
_tail_n() { tail -n "$1"; }
_lower_case() { tr '[:upper:]' '[:lower:]'; }
_upper_case() { tr '[:lower:]' '[:upper:]'; }
_sed_i() { sed -i "$1" "$2"; }
_normalizeJson() {
  tr -d '\r\n' | sed -e 's/"[[:space:]]*:[[:space:]]*\(["{[]\)/":\1/g' -e 's/^[[:space:]]*//'
}
_json_encode() {
  sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/	/\\t/g' | sed -e ':a' -e 'N' -e '$!ba' -e 's/\n/\\n/g'
}
_json_decode() { sed -e 's/\\"/"/g' -e 's/\\\//\//g' -e 's/\\n/\n/g' -e 's/\\\\/\\/g'; }
_math() { printf '%s' "$(($*))"; }
_ret() { return "$1"; }
_exists() { command -v "$1" >/dev/null 2>&1; }
_mktemp() { mktemp "$PERENNIAL_STATE/tmp.XXXXXX"; }
_sleep() { sleep "$1"; }
_time() { date -u +%s; }
_utc_date() { date -u '+%Y-%m-%d %H:%M:%S'; }
_idn() { printf '%s' "$1"; }
_is_idn() { printf '%s' "$1" | LC_ALL=C grep -q '[^ -~]'; }
_isIPv4() { printf '%s\n' "$1" | grep -E -q '^[0-9]{1,3}(\.[0-9]{1,3}){3}$'; }
_isIPv6() { printf '%s\n' "$1" | grep -q ':'; }

# Bytes.
_base64() { if [ -n "${1-}" ]; then openssl base64 -e; else openssl base64 -e -A; fi; }
_dbase64() { if [ -n "${1-}" ]; then openssl base64 -d; else openssl base64 -d -A; fi; }
_url_replace() { tr '/+' '_-' | tr -d '= '; }
_durl_replace_base64() {
  _perennial_text=$(tr '_-' '/+')
  case $((${#_perennial_text} % 4)) in
    2) _perennial_text="$_perennial_text==" ;;
    3) _perennial_text="$_perennial_text=" ;;
  esac
  printf '%s' "$_perennial_text"
}
_hex_dump() { od -A n -v -t x1 | tr -d '\r\n\t' | tr -s ' ' | sed 's/ $//'; }
_ascii_hex() { _hex_dump; }
_h2b() { sed -e 's/ //g' -e 's/../\\x&/g' | { read -r _perennial_hex; env printf '%b' "$_perennial_hex"; }; }
_h_char_dec() { printf '%d' "0x$1"; }
_hex_upper() { if [ -n "${1-}" ]; then _upper_case; else cat; fi; }
_url_encode() {
  for _perennial_byte in $(_hex_dump); do
    case $_perennial_byte in
      2d | 2e | 5f | 7e | 3[0-9] | 4[1-9a-f] | 5[0-9a] | 6[1-9a-f] | 7[0-9a])
        env printf '%b' "\\x$_perennial_byte" ;;
      *) printf '%%%s' "$_perennial_byte" | _hex_upper "${1-}" ;;
    esac
  done
}
_url_decode() { sed -e 's/%\([0-9A-Fa-f][0-9A-Fa-f]\)/\\x\1/g' | { read -r _perennial_hex; env printf '%b' "$_perennial_hex"; }; }
_digest() {
  if [ -n "${2-}" ]; then openssl dgst "-$1" -hex | sed 's/^.*= *//' | tr -d '\n'
  else openssl dgst "-$1" -binary | _base64; fi
}
_hmac() {
  if [ -n "${3-}" ]; then openssl dgst "-$1" -mac HMAC -macopt "hexkey:$2" -hex | sed 's/^.*= *//' | tr -d '\n'
  else openssl dgst "-$1" -mac HMAC -macopt "hexkey:$2" -binary | _base64; fi
}
_sign() { openssl dgst "-$2" -sign "$1" | _base64; }

# A script named dns_x.sh has the functions dns_x_add and dns_x_rm.
name=${script##*/}
name=${name%.sh}
case $name in
  *[!A-Za-z0-9_]*) _err "the script's name is no name of a function: $name"; exit 2 ;;
esac
[ -r "$script" ] || { _err "cannot read $script"; exit 2; }
# shellcheck disable=SC1090
. "$script"
if ! command -v "${name}_$verb" >/dev/null; then
  # A script need not have _rm.
  [ "$verb" = rm ] && exit 0
  _err "$script has no function ${name}_$verb"
  exit 2
fi
"${name}_$verb" "$record" "$value"
