#!/usr/bin/env sh
# A script as people write them for acme.sh's dnsapi, for the API of PowerDNS.
# shellcheck disable=SC2034
dns_tryout_info='Tryout
Options:
 TRYOUT_Url Where it is
 TRYOUT_Key Its key
'

dns_tryout_add() {
  fulldomain=$1
  txtvalue=$2
  _tryout_begin || return 1
  _info "Adding $fulldomain"
  _tryout_patch "{\"rrsets\":[{\"changetype\":\"REPLACE\",\"name\":\"$fulldomain.\",\"type\":\"TXT\",\
\"ttl\":60,\"records\":[{\"content\":\"\\\"$txtvalue\\\"\",\"disabled\":false}]}]}"
}

dns_tryout_rm() {
  fulldomain=$1
  _tryout_begin || return 1
  _tryout_patch "{\"rrsets\":[{\"changetype\":\"DELETE\",\"name\":\"$fulldomain.\",\"type\":\"TXT\"}]}"
}

_tryout_begin() {
  TRYOUT_Url="${TRYOUT_Url:-$(_readaccountconf_mutable TRYOUT_Url)}"
  TRYOUT_Key="${TRYOUT_Key:-$(_readaccountconf_mutable TRYOUT_Key)}"
  if [ -z "$TRYOUT_Url" ] || [ -z "$TRYOUT_Key" ]; then
    _err "You did not say where it is."
    return 1
  fi
  _saveaccountconf_mutable TRYOUT_Url "$TRYOUT_Url"
  _saveaccountconf_mutable TRYOUT_Key "$TRYOUT_Key"
  calls=$(_readaccountconf_mutable TRYOUT_Calls)
  _saveaccountconf_mutable TRYOUT_Calls "$(_math "${calls:-0}" + 1)"
  export _H1="X-API-Key: $TRYOUT_Key"
  _zone=$(printf '%s' "$fulldomain" | cut -d . -f 2-)
  _debug _zone "$_zone"
  response="$(_get "$TRYOUT_Url/api/v1/servers/localhost/zones/$_zone.")" || return 1
  if ! _contains "$(printf '%s' "$response" | _normalizeJson)" "\"name\":\"$_zone.\""; then
    _err "invalid domain"
    return 1
  fi
}

_tryout_patch() {
  response="$(_post "$1" "$TRYOUT_Url/api/v1/servers/localhost/zones/$_zone." "" PATCH application/json)"
  if _contains "$response" error; then
    _err "$response"
    return 1
  fi
  grep -q '^HTTP/1.1 204' "$HTTP_HEADER"
}
