"""What a request of expression-v1 carries."""

IMAGE_BYTES = 2_000_000
# UNVERIFIED: the service states 25 MB without saying which. A little is left for the parts' headers.
BODY_BYTES = 24_900_000
PART_OVERHEAD_BYTES = 250
RATE_HZ = 16_000
# With batching.pack_short_audio: short recordings are joined, with this much silence between.
GAP_SAMPLES = RATE_HZ
