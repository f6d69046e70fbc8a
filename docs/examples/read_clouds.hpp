// The clouds of silk_ros in C++17, read from the bytes of the message: docs/messages.md has the layouts.
//
//   auto matches = silk_ros::points<silk_ros::Match>(cloud);
//   for (std::size_t row = 0; row < matches.size(); ++row) {
//     silk_ros::Match match = matches[row];
//   }
//
// For little-endian machines.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

#include <sensor_msgs/msg/point_cloud2.hpp>

namespace silk_ros {

using sensor_msgs::msg::PointCloud2;
using sensor_msgs::msg::PointField;

// A field of a cloud; it starts where the one before ends.
struct Field {
  std::string name;
  std::uint8_t datatype;
  std::uint32_t count;
};

template <typename T>
constexpr std::uint8_t datatype() {
  if constexpr (std::is_same_v<T, std::uint8_t>) return PointField::UINT8;
  if constexpr (std::is_same_v<T, std::uint16_t>) return PointField::UINT16;
  if constexpr (std::is_same_v<T, std::uint32_t>) return PointField::UINT32;
  if constexpr (std::is_same_v<T, std::int32_t>) return PointField::INT32;
  if constexpr (std::is_same_v<T, float>) return PointField::FLOAT32;
}

#pragma pack(push, 1)

// A point of ~/features, or of ~/right/features. T and N by descriptor_format, for the shipped network:
// float and 32 (float32), std::uint16_t and 32 (float16, its bits), std::uint8_t and 32 (binary256).
template <typename T = float, std::size_t N = 32>
struct Feature {
  float x, y, z, u, v, score;
  std::uint32_t track_id;
  T descriptor[N];

  static std::vector<Field> fields() {
    std::vector<Field> all;
    for (const char * name : {"x", "y", "z", "u", "v", "score"}) all.push_back({name, PointField::FLOAT32, 1});
    all.push_back({"track_id", PointField::UINT32, 1});
    all.push_back({"descriptor", datatype<T>(), N});
    return all;
  }
};

// What both kinds of points of ~/matches begin with.
struct MatchBase {
  float u, v, u_prev, v_prev;
  std::uint32_t index, index_prev, track_id;
  float similarity;
  std::int32_t prev_sec;
  std::uint32_t prev_nanosec;

  static std::vector<Field> fields() {
    std::vector<Field> all;
    for (const char * name : {"u", "v", "u_prev", "v_prev"}) all.push_back({name, PointField::FLOAT32, 1});
    for (const char * name : {"index", "index_prev", "track_id"}) all.push_back({name, PointField::UINT32, 1});
    all.push_back({"similarity", PointField::FLOAT32, 1});
    all.push_back({"prev_sec", PointField::INT32, 1});
    all.push_back({"prev_nanosec", PointField::UINT32, 1});
    return all;
  }
};

// A point of ~/matches.
struct Match : MatchBase {
  std::uint8_t refined, unused[3];

  static std::vector<Field> fields() {
    std::vector<Field> all = MatchBase::fields();
    all.push_back({"refined", PointField::UINT8, 1});
    return all;
  }
};

// A point of ~/matches with verification.outliers: flag.
struct FlaggedMatch : MatchBase {
  std::uint8_t inlier, refined, unused[2];

  static std::vector<Field> fields() {
    std::vector<Field> all = MatchBase::fields();
    for (const char * name : {"inlier", "refined"}) all.push_back({name, PointField::UINT8, 1});
    return all;
  }
};

// A point of ~/stereo_matches.
struct StereoMatch {
  float x, y, z, u, v, u_right, v_right, disparity;
  std::uint32_t index, track_id;
  float similarity;
  std::uint32_t index_right;
  float disparity_sigma;

  static std::vector<Field> fields() {
    std::vector<Field> all;
    for (const char * name : {"x", "y", "z", "u", "v", "u_right", "v_right", "disparity"}) {
      all.push_back({name, PointField::FLOAT32, 1});
    }
    for (const char * name : {"index", "track_id"}) all.push_back({name, PointField::UINT32, 1});
    all.push_back({"similarity", PointField::FLOAT32, 1});
    all.push_back({"index_right", PointField::UINT32, 1});
    all.push_back({"disparity_sigma", PointField::FLOAT32, 1});
    return all;
  }
};

#pragma pack(pop)

static_assert(sizeof(Feature<>) == 156 && sizeof(Feature<std::uint16_t>) == 92 && sizeof(Feature<std::uint8_t>) == 60);
static_assert(sizeof(Match) == 44 && sizeof(FlaggedMatch) == 44 && sizeof(StereoMatch) == 52);

// The points of a cloud, which must outlive them.
template <typename Point>
class Points {
public:
  explicit Points(const PointCloud2 & cloud) : data_(cloud.data.data()), size_(cloud.data.size() / sizeof(Point)) {}

  std::size_t size() const { return size_; }

  // A copy, as points need not be aligned; compilers leave only the loads of what is used.
  Point operator[](std::size_t row) const {
    Point point;
    std::memcpy(&point, data_ + row * sizeof(Point), sizeof(Point));
    return point;
  }

private:
  const std::uint8_t * data_;
  std::size_t size_;
};

// Throws std::invalid_argument, saying why, for a cloud of another layout.
template <typename Point>
Points<Point> points(const PointCloud2 & cloud) {
  static_assert(std::is_trivially_copyable_v<Point>);
  const std::vector<Field> expected = Point::fields();
  std::uint32_t offset = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const Field & field = expected[i];
    if (i >= cloud.fields.size() || cloud.fields[i].name != field.name || cloud.fields[i].offset != offset ||
        cloud.fields[i].datatype != field.datatype || cloud.fields[i].count != field.count) {
      throw std::invalid_argument("the cloud's layout differs at field " + field.name);
    }
    const std::uint32_t bytes = field.datatype == PointField::UINT8 ? 1 : field.datatype == PointField::UINT16 ? 2 : 4;
    offset += bytes * field.count;
  }
  if (cloud.is_bigendian || cloud.point_step != sizeof(Point) || cloud.fields.size() != expected.size()) {
    throw std::invalid_argument("the cloud has further fields, or is big-endian");
  }
  if (cloud.data.size() != std::size_t{cloud.width} * cloud.height * sizeof(Point)) {
    throw std::invalid_argument("the cloud's size and its data disagree");
  }
  return Points<Point>(cloud);
}

}  // namespace silk_ros
