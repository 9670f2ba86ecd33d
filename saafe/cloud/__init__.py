"""Rented GPUs with one command: launch, watch, download, verify and bill.

boto3 is imported where it is used (`aws.py`); nothing here reaches into training, which runs in
the container exactly as `saafe train` runs at home.
"""
