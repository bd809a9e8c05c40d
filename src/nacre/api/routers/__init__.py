"""One router per noun; each registers the operations of its noun."""

from fastapi import APIRouter

ALL: tuple[APIRouter, ...] = ()
