#!/usr/bin/env sh
# Tries what acme.sh brings to its scripts: says each line that is not what it must be.
dns_words_add() {
  wrong=0
  is() { [ "$2" = "$3" ] || { printf '%s: "%s" and not "%s"\n' "$1" "$2" "$3"; wrong=1; }; }
  is base64 "$(printf 'a+b' | _base64)" 'YSti'
  is dbase64 "$(printf 'YSti' | _dbase64)" 'a+b'
  is url_replace "$(printf '+/8=' | _url_replace)" '-_8'
  is durl_replace "$(printf '%s' '-_8' | _durl_replace_base64)" '+/8='
  is hex_dump "$(printf 'ab' | _hex_dump)" ' 61 62'
  is h2b "$(printf '6162' | _h2b)" 'ab'
  is url_encode "$(printf 'a b/c~z-Z_9.' | _url_encode)" 'a%20b%2fc~z-Z_9.'
  is url_encode_upper "$(printf '/' | _url_encode upper-hex)" '%2F'
  is url_decode "$(printf 'a%%20b%%2Fc' | _url_decode)" 'a b/c'
  is digest "$(printf 'abc' | _digest sha256 hex)" \
    'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'
  is digest_binary "$(printf 'abc' | _digest sha256)" 'ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0='
  is hmac "$(printf 'what do ya want for nothing?' | _hmac sha256 4a656665 hex)" \
    '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843'
  is egrep_o "$(printf 'id=12,id=34' | _egrep_o 'id=[0-9]+' | _head_n 1)" 'id=12'
  is tail_n "$(printf 'a\nb\n' | _tail_n 1)" 'b'
  is getfield "$(_getfield 'a,b,c' 2)" 'b'
  is lower_case "$(printf 'AbC' | _lower_case)" 'abc'
  is upper_case "$(printf 'AbC' | _upper_case)" 'ABC'
  is json "$(printf '{ "a" : "b",\n "c": [1] }' | _normalizeJson)" '{ "a":"b", "c":[1] }'
  is json_encode "$(printf 'a"b\\c\nd' | _json_encode)" 'a\"b\\c\nd'
  is math "$(_math 3 + 4)" '7'
  is h_char_dec "$(_h_char_dec 1f)" '31'
  _startswith abc ab || is startswith no yes
  _endswith abc bc || is endswith no yes
  _hasfield 'a,b' b || is hasfield no yes
  _contains 'a b' 'b' || is contains no yes
  ! _contains 'a b' 'c' || is contains yes no
  _exists sh || is exists no yes
  _isIPv4 192.0.2.1 || is isIPv4 no yes
  _savedomainconf Word "one
two"
  is domainconf "$(_readdomainconf Word)" "one
two"
  _cleardomainconf Word
  is cleared "$(_readdomainconf Word)" ''
  _saveaccountconf Word x
  is accountconf "$(_readaccountconf_mutable Word)" 'x'
  return "$wrong"
}
