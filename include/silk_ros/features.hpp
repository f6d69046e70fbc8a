// The clouds of silk_ros as OpenCV's keypoints and descriptors, for C++ programs such as ORB-SLAM: docs/orb_slam.md.
//
//   silk_ros::StampJoin<sensor_msgs::msg::Image, sensor_msgs::msg::PointCloud2> join;
//   void on_image(Image::ConstSharedPtr image) { if (auto pair = join.add<0>(image)) track(*pair); }
//   void on_features(PointCloud2::ConstSharedPtr cloud) { if (auto pair = join.add<1>(cloud)) track(*pair); }
//
//   const silk_ros::CvFeatures features = silk_ros::cv_features(*cloud);
//   // features.keypoints, features.descriptors: as cv::Feature2D::detectAndCompute gives them
//
// C++17, header only. It needs sensor_msgs and the core of OpenCV 4.
//
// Licensed under the Apache License, Version 2.0: http://www.apache.org/licenses/LICENSE-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <opencv2/core.hpp>
#include <sensor_msgs/msg/point_cloud2.hpp>

namespace silk_ros {

// The keypoints of an image, best score first, and their descriptors, row by row.
//
// keypoints:   pt in pixels of the received image, (0, 0) is the centre of the top-left pixel; response is the score,
//              size 31, octave 0, class_id the 32 bits of the track id, -1 for a right keypoint without a match.
// descriptors: CV_8U, N x 32, of descriptor_format binary256; CV_32F, N x D, of float32 and float16.
struct CvFeatures {
  std::vector<cv::KeyPoint> keypoints;
  cv::Mat descriptors;
};

// What the right camera sees of a left keypoint; -1 where it is not known, as ORB-SLAM writes it.
//
// row:   of ~/right/features. u: column in the right image as received, in pixels. depth: z in metres.
struct RightView {
  std::int32_t row = -1;
  float u = -1.0f;
  float depth = -1.0f;
};

namespace detail {

using sensor_msgs::msg::PointCloud2;
using sensor_msgs::msg::PointField;

inline bool is_big_endian_machine() {
  const std::uint16_t one = 1;
  std::uint8_t first;
  std::memcpy(&first, &one, 1);
  return first == 0;
}

template <typename T>
constexpr std::uint8_t datatype() {
  if constexpr (std::is_same_v<T, std::uint8_t>) return PointField::UINT8;
  if constexpr (std::is_same_v<T, std::uint16_t>) return PointField::UINT16;
  if constexpr (std::is_same_v<T, std::uint32_t>) return PointField::UINT32;
  if constexpr (std::is_same_v<T, float>) return PointField::FLOAT32;
}

// A cloud whose size and data agree. It must outlive its columns.
class Cloud {
public:
  explicit Cloud(const PointCloud2 & cloud) : cloud_(cloud), swaps_(bool(cloud.is_bigendian) != is_big_endian_machine()) {
    const std::size_t row = std::size_t{cloud.width} * cloud.point_step;
    if (cloud.height > 0 && (cloud.row_step < row || cloud.data.size() < std::size_t{cloud.row_step} * cloud.height)) {
      throw std::invalid_argument(
        "width, height, point_step, row_step and data of the cloud disagree: publish it as silk_node wrote it");
    }
  }

  std::size_t size() const { return std::size_t{cloud_.width} * cloud_.height; }

  const PointField & field(const std::string & name) const {
    for (const PointField & field : cloud_.fields) {
      if (field.name == name) return field;
    }
    throw std::invalid_argument("the cloud has no field " + name + ": check which topic is subscribed to");
  }

  // Copy a field's values of one point to `target`, which has room for `count` of them.
  template <typename T>
  void copy(const PointField & field, std::size_t point, T * target) const {
    const std::uint8_t * source = cloud_.data.data() + point / cloud_.width * cloud_.row_step +
                                  point % cloud_.width * cloud_.point_step + field.offset;
    std::memcpy(target, source, sizeof(T) * field.count);
    if (!swaps_ || sizeof(T) == 1) return;
    for (std::size_t value = 0; value < field.count; ++value) {
      auto * bytes = reinterpret_cast<std::uint8_t *>(target + value);
      std::reverse(bytes, bytes + sizeof(T));
    }
  }

  // Throws unless a field has values of this type, `count` of them where it is given, within the point.
  template <typename T>
  void check(const PointField & field, const std::string & remedy, std::uint32_t count = 0) const {
    if (field.datatype != datatype<T>() || field.count == 0 || (count != 0 && field.count != count)) {
      throw std::invalid_argument(
        "field " + field.name + " has datatype " + std::to_string(field.datatype) + " and count " +
        std::to_string(field.count) + ": " + remedy);
    }
    if (std::uint64_t{field.offset} + sizeof(T) * std::uint64_t{field.count} > cloud_.point_step) {
      throw std::invalid_argument(
        "field " + field.name + " ends beyond point_step: publish the cloud as silk_node wrote it");
    }
  }

  // The values of a field of one value for each point.
  template <typename T>
  std::vector<T> column(const std::string & name) const {
    const PointField & found = field(name);
    check<T>(found, "check which topic is subscribed to, docs/messages.md has its layout", 1);
    std::vector<T> values(size());
    for (std::size_t point = 0; point < values.size(); ++point) copy(found, point, &values[point]);
    return values;
  }

  // The values of a field as rows of a matrix of OpenCV's type.
  template <typename T>
  cv::Mat rows(const PointField & field, int type) const {
    cv::Mat values(static_cast<int>(size()), static_cast<int>(field.count), type);
    for (std::size_t point = 0; point < size(); ++point) {
      copy(field, point, reinterpret_cast<T *>(values.ptr(static_cast<int>(point))));
    }
    return values;
  }

private:
  const PointCloud2 & cloud_;
  bool swaps_;
};

inline cv::Mat descriptors(const Cloud & cloud) {
  const PointField & field = cloud.field("descriptor");
  const std::string remedy = "set descriptor_format of silk_node to binary256, float32 or float16";
  if (field.datatype == PointField::UINT8) {
    cloud.check<std::uint8_t>(field, remedy, 32);
    return cloud.rows<std::uint8_t>(field, CV_8U);
  }
  if (field.datatype == PointField::UINT16) {
    cloud.check<std::uint16_t>(field, remedy);
    const cv::Mat halves = cloud.rows<std::uint16_t>(field, CV_16F);
    cv::Mat values(halves.size(), CV_32F);
    if (!halves.empty()) halves.convertTo(values, CV_32F);  // of nothing, it would not keep the columns and the type
    return values;
  }
  cloud.check<float>(field, remedy);
  return cloud.rows<float>(field, CV_32F);
}

}  // namespace detail

// The keypoints and descriptors of ~/features or ~/right/features.
//
// angle: of all keypoints, which have no direction; OpenCV writes -1 for that, ORB-SLAM needs 0.
//
// Throws std::invalid_argument, which names the field and the remedy, for a cloud of another layout.
inline CvFeatures cv_features(const sensor_msgs::msg::PointCloud2 & cloud, float angle = -1.0f) {
  const detail::Cloud points(cloud);
  const auto u = points.column<float>("u"), v = points.column<float>("v"), score = points.column<float>("score");
  const auto track_id = points.column<std::uint32_t>("track_id");
  CvFeatures features{{}, detail::descriptors(points)};
  features.keypoints.reserve(points.size());
  for (std::size_t row = 0; row < points.size(); ++row) {
    features.keypoints.emplace_back(u[row], v[row], 31.0f, angle, score[row], 0, static_cast<int>(track_id[row]));
  }
  return features;
}

// The right views of the left keypoints, from ~/stereo_matches.
//
// count: number of left keypoints, of the ~/features with the stamp of the matches.
//
// Throws std::invalid_argument for a cloud of another layout, and for matches of another image.
inline std::vector<RightView> right_views(const sensor_msgs::msg::PointCloud2 & stereo_matches, std::size_t count) {
  const detail::Cloud matches(stereo_matches);
  const auto index = matches.column<std::uint32_t>("index"), right = matches.column<std::uint32_t>("index_right");
  const auto u = matches.column<float>("u_right"), z = matches.column<float>("z");
  std::vector<RightView> views(count);
  for (std::size_t row = 0; row < matches.size(); ++row) {
    if (index[row] >= count) {
      throw std::invalid_argument("field index exceeds the number of features: join the clouds by their stamps");
    }
    const float depth = z[row] > 0.0f ? z[row] : -1.0f;  // NaN without calibration
    views[index[row]] = {static_cast<std::int32_t>(right[row]), u[row], depth};
  }
  return views;
}

// Messages of several topics, joined by equal stamps of their headers. Not for several threads at once.
//
// The clouds of silk_ros have the stamps of their images. Messages of one topic have to come in order; the topics may
// come in any order.
template <typename... Messages>
class StampJoin {
public:
  using Joined = std::tuple<std::shared_ptr<const Messages>...>;

  // capacity: number of stamps that wait for the rest of their messages, at most.
  explicit StampJoin(std::size_t capacity = 30) : capacity_(std::max<std::size_t>(capacity, 1)) {}

  // Keep a message of the topic at a place of the list; the messages of its stamp once all topics have it.
  template <std::size_t Place>
  std::optional<Joined> add(std::tuple_element_t<Place, Joined> message) {
    const std::int64_t stamp = message->header.stamp.sec * std::int64_t{1000000000} + message->header.stamp.nanosec;
    auto found = std::find_if(waiting_.begin(), waiting_.end(), [&](const auto & entry) { return entry.first == stamp; });
    if (found == waiting_.end()) found = waiting_.insert(waiting_.end(), {stamp, Joined{}});
    std::get<Place>(found->second) = std::move(message);
    if (std::apply([](const auto &... each) { return (... && each); }, found->second)) {
      Joined joined = std::move(found->second);
      incomplete_ += static_cast<std::size_t>(found - waiting_.begin());
      waiting_.erase(waiting_.begin(), found + 1);
      return joined;
    }
    if (waiting_.size() > capacity_) {
      waiting_.pop_front();
      ++incomplete_;
    }
    return std::nullopt;
  }

  // Stamps that were given up, as for images that silk_node dropped because it is slower than the camera.
  std::size_t incomplete() const { return incomplete_; }

private:
  std::size_t capacity_;
  std::size_t incomplete_ = 0;
  std::deque<std::pair<std::int64_t, Joined>> waiting_;  // in the order of their first message
};

}  // namespace silk_ros
