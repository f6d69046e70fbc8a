"""Visual odometry from what the front-end publishes: matches, track ids and stereo points. Neither ROS nor images."""
