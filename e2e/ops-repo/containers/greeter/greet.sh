#!/bin/sh
echo "good morning"
