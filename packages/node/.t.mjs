import {toPlanes} from "./src/models/image.ts";import {detectionModel} from "./src/models/ocr-detection.ts";
const im={width:2000,height:1500,rgb:new Uint8Array(2000*1500*3).fill(200)};for(let i=0;i<3;i++){const t=performance.now();toPlanes(im,960,736,960,{mean:[0,0,0],deviation:[1,1,1]});console.log(performance.now()-t)}
