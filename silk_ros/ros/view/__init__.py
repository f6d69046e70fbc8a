"""The live view: what is shown of images, matches and odometry, and where. Nothing here needs ROS."""

VIEWERS = ("auto", "spawn", "web", "file")  # what shows it
