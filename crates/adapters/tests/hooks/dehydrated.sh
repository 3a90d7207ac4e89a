#!/bin/sh
# A hook as people write them for dehydrated: for http-01 or dns-01, as KIND says. It does its work
# at pebble-challtestsrv (ANSWERS) and writes down what it was told (LOG).
set -eu
case $1 in deploy_challenge | clean_challenge) ;; *) exit 0 ;; esac
echo "$1: $# words, $2, ${#3}, ${#4}" >>"$LOG"
tell() { curl --silent --show-error --fail --data "$2" "$ANSWERS/$1" >&2; }
case $1-$KIND in
  deploy_challenge-dns-01) tell set-txt "{\"host\":\"_acme-challenge.$2.\",\"value\":\"$4\"}" ;;
  clean_challenge-dns-01) tell clear-txt "{\"host\":\"_acme-challenge.$2.\"}" ;;
  deploy_challenge-http-01) tell add-http01 "{\"token\":\"$3\",\"content\":\"$4\"}" ;;
  clean_challenge-http-01) tell del-http01 "{\"token\":\"$3\"}" ;;
esac
