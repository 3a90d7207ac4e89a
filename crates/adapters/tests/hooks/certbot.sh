#!/bin/sh
# A hook as people write them for certbot: `certbot.sh auth` and `certbot.sh cleanup`. It does its
# work at pebble-challtestsrv (ANSWERS) and writes down what it was told (LOG).
set -eu
token=${CERTBOT_TOKEN-} output=${CERTBOT_AUTH_OUTPUT-}
{
  echo "$1"
  env | grep '^CERTBOT_' | grep -v -e '^CERTBOT_VALIDATION=' -e '^CERTBOT_TOKEN=' | sort
  echo "a validation of ${#CERTBOT_VALIDATION}, a token of ${#token}, an output of ${#output}"
} >>"$LOG"
tell() { curl --silent --show-error --fail --data "$2" "$ANSWERS/$1" >&2; }
record=_acme-challenge.$CERTBOT_DOMAIN.
case $1${token:+-http} in
  auth) tell set-txt "{\"host\":\"$record\",\"value\":\"$CERTBOT_VALIDATION\"}" ;;
  cleanup) tell clear-txt "{\"host\":\"$record\"}" ;;
  auth-http) tell add-http01 "{\"token\":\"$token\",\"content\":\"$CERTBOT_VALIDATION\"}" ;;
  cleanup-http) tell del-http01 "{\"token\":\"$token\"}" ;;
esac
if [ "$1" = auth ]; then
  printf '  the id of %s\nis 7 \n\n' "$CERTBOT_DOMAIN"
  echo "and this is said aside" >&2
fi
