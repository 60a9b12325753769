#!/bin/sh
# SPDX-License-Identifier: MIT
# exports.sh LIBRARY: exactly one symbol goes out.
found=$(nm -D --defined-only "$1" | awk '{ print $NF }')
[ "$found" = figment_model_api ] && exit 0
echo "exported: $found"
exit 1
