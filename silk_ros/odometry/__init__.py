"""Visual odometry from what the front-end publishes (matches, track ids, stereo points), without ROS."""
