"""Nothing is lost, nothing paid twice: crashes, full disks, lost answers, several runners, hostile services."""
